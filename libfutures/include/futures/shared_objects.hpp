// SPDX-License-Identifier: BSL-1.0
// SharedObjects: what a process pool gives each of its workers, so that tasks can have
// it.
// Python:  none; there an initializer puts initargs into globals.
// Differs: what a pool was given, here or as arguments of its initializer, can be an
//          argument of its tasks.
// Threads: any; a value.
// Owns:    handles of the objects.
#pragma once

#include "mp/call.hpp"

#include <concepts>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace futures {

namespace detail {

/// Has the objects in this process until it ends, so that a task finds them there.
template <class... T>
void keep_objects(T... objects) {
    // Never destroyed: a task may run as long as the process.
    static auto* const kept = new std::vector<std::shared_ptr<void>>;
    kept->push_back(std::make_shared<std::tuple<T...>>(std::move(objects)...));
}

}  // namespace detail

/// `{.shared = {queue, lock}}`: a Queue, a Lock, a Value, an Event, a SharedHeap, a
/// Connection ...
class SharedObjects {
public:
    /// None.
    SharedObjects() = default;

    /// Throws what their serialize() throws.
    template <class... T>
        requires(sizeof...(T) > 0 && (!std::same_as<T, SharedObjects> && ...))
    SharedObjects(const T&... objects)  // NOLINT(google-explicit-constructor): a list
        : keep_(mp::call(&detail::keep_objects<T...>, objects...)) {}

    /// For pools: makes them known in a worker.
    const mp::Call& keep() const noexcept { return keep_; }

private:
    mp::Call keep_;
};

}  // namespace futures
