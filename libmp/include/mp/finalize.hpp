// SPDX-License-Identifier: BSL-1.0
// Finalize: a callback that runs once: when called, when its owner goes, or at exit.
// Python:  multiprocessing.util.Finalize, _run_finalizers.
// Differs: the handle takes the place of Python's `obj`: the callback runs when the
//          handle is destroyed. Destroying or cancelling it waits for a run in another
//          thread, since a callback in C++ often points into the object that is going.
// Threads: any, each handle by one at a time.
// Processes: a callback belongs to the process that made it. In a forked child the
//          handle is an empty shell: nothing runs, and the callback is not even
//          destroyed.
#pragma once

#include <functional>
#include <memory>
#include <optional>

namespace mp {

namespace detail {
struct FinalizerTable;
}  // namespace detail

/// A callback's handle: the callback runs when this is called or destroyed, or at exit.
class [[nodiscard]] Finalize {
public:
    /// A callback with a priority also runs at exit: higher ones first, among equals
    /// the newest first; those below 0 only after all children have ended. One without
    /// a priority does not run at exit.
    explicit Finalize(
        std::function<void()> callback, std::optional<int> priority = std::nullopt
    );

    Finalize(Finalize&& other) noexcept = default;
    /// The callback held before runs first, as by the destructor.
    Finalize& operator=(Finalize&& other) noexcept;
    Finalize(const Finalize&) = delete;
    Finalize& operator=(const Finalize&) = delete;

    /// Runs the callback if it has not run. Exceptions of it are logged.
    ~Finalize();

    /// Runs the callback if it has not run; returns whether it ran now. Lets its
    /// exceptions through.
    bool operator()();

    /// Forgets the callback. Afterwards it neither runs nor is running in another
    /// thread.
    void cancel() noexcept;

    /// Whether it will still run.
    bool still_active() const noexcept;

private:
    struct Record;
    friend struct detail::FinalizerTable;

    void release() noexcept;

    std::shared_ptr<Record> record_;
};

namespace detail {

/// Runs the callbacks that have a priority of at least `min_priority` (nullopt: any
/// priority) and were made before this call, in order. Their exceptions are logged.
void run_finalizers(std::optional<int> min_priority) noexcept;

}  // namespace detail

}  // namespace mp
