// SPDX-License-Identifier: BSL-1.0
// MapFeed: the calls of one map(), from the input to the results, in the order of the
// input. What MapResults reads; its two kinds are ItemFeed and ChunkFeed.
// Python:  Executor.map's inner generator.
// Differs: a class, so that what is left can be cancelled.
// Threads: one.
#pragma once

#include "mp/timeout.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <variant>

namespace futures::detail {

/// A result as map() hands it over: void is std::monostate.
template <class R>
using MapValue = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

/// What `fn` gives for an item of Zip, as a future holds it.
template <class Fn, class Item>
struct CallWithItem;

template <class Fn, class... Args>
struct CallWithItem<Fn, std::tuple<Args...>> {
    using Result = std::decay_t<std::invoke_result_t<Fn, std::remove_cvref_t<Args>...>>;
};

/// Says that an executor only uses a pool.
struct Borrowed {};

/// Finds an executor again that was moved, or destroyed, since the map() began.
template <class E, class Pool>
class WeakPoolExecutor {
public:
    explicit WeakPoolExecutor(const E& executor) noexcept : pool_(executor.pool_) {}

    /// One that has the pool for a moment and does not end it. When there is no pool
    /// any more its submit() throws mp::StateError.
    E lock() const noexcept { return E(Borrowed(), pool_.lock()); }

private:
    std::weak_ptr<Pool> pool_;
};

/// Any other executor has to stay where it is.
template <class E>
class WeakExecutor {
public:
    explicit WeakExecutor(E& executor) noexcept : executor_(executor) {}

    E& lock() const noexcept { return executor_; }

private:
    E& executor_;
};

template <class R>
class MapFeed {
public:
    MapFeed() = default;
    MapFeed(const MapFeed&) = delete;
    MapFeed& operator=(const MapFeed&) = delete;
    virtual ~MapFeed() = default;

    /// No result is left.
    virtual bool empty() const = 0;
    /// Submits the next item, if any; what that throws becomes the last result.
    virtual void feed() = 0;
    /// Waits for the first result.
    virtual bool wait(const mp::Deadline& deadline) = 0;
    /// Moves the first result out, or throws its exception. Requires: wait().
    virtual void take(std::optional<MapValue<R>>& value) = 0;
    /// Goes on to the next result.
    virtual void drop_first() = 0;
    /// Cancels what has not begun; no result is left.
    virtual void cancel_rest() noexcept = 0;
    /// Cancels what has been submitted, also what runs or not; submits no more. The
    /// results stay where they are.
    virtual void cancel(bool also_running) = 0;
};

}  // namespace futures::detail
