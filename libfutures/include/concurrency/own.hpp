// SPDX-License-Identifier: BSL-1.0
// own: gives a callable away where what is written there would not survive.
// Python:  none, because a callable is a reference there.
// Differs: nothing to differ from.
// Threads: any; it is a value.
#pragma once

#include <type_traits>
#include <utility>

namespace concurrency {

/// A callable that may be given by value inside a co_await expression, whatever it
/// holds; own() makes it.
template <class Fn>
class Owned {
public:
    /// Takes the callable over.
    explicit Owned(Fn&& fn) : fn_(std::move(fn)) {}

    /// Calls it.
    template <class... Args>
        requires std::is_invocable_v<Fn&, Args...>
    decltype(auto) operator()(Args&&... args) {
        return fn_(std::forward<Args>(args)...);
    }

private:
    Fn fn_;
};

/// Gives a named callable away inside a co_await expression, for one that cannot be
/// copied: auto body = [file = std::move(file)] { ... }; co_await shield(own(std::move(
/// body)));
template <class Fn>
    requires(!std::is_lvalue_reference_v<Fn>)
Owned<Fn> own(Fn&& fn) {
    return Owned<Fn>(std::move(fn));
}

}  // namespace concurrency
