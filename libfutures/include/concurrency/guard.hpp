// SPDX-License-Identifier: BSL-1.0
// Guard: holds what a task got from a primitive, and gives it back when it is
// destroyed.
// Python:  none, because `async with lock:` does there.
// Differs: it is a value: it may be moved, and ends early by release().
// Threads: those of what it was got from.
// Throws:  its destructor never does. Where it cannot give back without waking a task of
//          another loop, it ends the program: that is a race, and nobody could be told.
// Read next: concurrency/lock.hpp
#pragma once

#include <utility>

namespace concurrency {

/// What scoped() of a primitive gives: `auto guard = co_await lock.scoped();`. The
/// primitive must live longer. Key is what the primitive knows the holder by.
template <class Primitive, class Key>
class [[nodiscard]] Guard {
public:
    /// Holds nothing.
    Guard() noexcept = default;

    Guard(Guard&& other) noexcept
        : primitive_(std::exchange(other.primitive_, nullptr)), key_(other.key_) {}

    /// Gives back what it held before.
    Guard& operator=(Guard&& other) noexcept {
        if (this != &other) {
            give_back();
            primitive_ = std::exchange(other.primitive_, nullptr);
            key_ = other.key_;
        }
        return *this;
    }

    /// Gives back what it holds, for whoever got it, whichever task this is: also where
    /// a coroutine is destroyed while it waits. Does nothing if that was given back by
    /// hand meanwhile.
    ~Guard() { give_back(); }

    /// Gives it back now, if it holds anything. Throws what release() of the primitive
    /// throws, and holds it still.
    void release() {
        if (primitive_ != nullptr) {
            primitive_->release(key_);
            primitive_ = nullptr;
        }
    }

    /// Whether it holds anything: release() was not called, and it was not moved from.
    explicit operator bool() const noexcept { return primitive_ != nullptr; }

    // -- For the library.

    Guard(Primitive& primitive, Key key) noexcept : primitive_(&primitive), key_(key) {}

private:
    void give_back() noexcept {
        if (primitive_ != nullptr) {
            std::exchange(primitive_, nullptr)->give_back(key_);
        }
    }

    Primitive* primitive_ = nullptr;
    Key key_{};
};

}  // namespace concurrency
