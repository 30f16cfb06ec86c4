// SPDX-License-Identifier: BSL-1.0
// StatePtr: counts one reference to a future's state; a handle is made of it.
// Python:  a reference to the Future object.
// Differs: nothing.
// Threads: as std::shared_ptr: copies anywhere, one object in one thread at a time.
#pragma once

#include <utility>

namespace futures::detail {

template <class S>
// NOLINTNEXTLINE(*-special-member-functions): its assignment copies and moves
class StatePtr {
public:
    StatePtr() = default;

    /// Takes over a reference.
    explicit StatePtr(S* state) noexcept : state_(state) {}

    StatePtr(const StatePtr& other) noexcept : state_(other.state_) {
        if (state_ != nullptr) {
            state_->add_reference();
        }
    }

    StatePtr(StatePtr&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)) {}

    StatePtr& operator=(StatePtr other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }

    ~StatePtr() {
        if (state_ != nullptr) {
            state_->drop_reference();
        }
    }

    /// Gives the reference away.
    S* release() noexcept { return std::exchange(state_, nullptr); }

    S* get() const noexcept { return state_; }

    S& operator*() const noexcept { return *state_; }

    S* operator->() const noexcept { return state_; }

    explicit operator bool() const noexcept { return state_ != nullptr; }

private:
    S* state_ = nullptr;
};

}  // namespace futures::detail
