// SPDX-License-Identifier: BSL-1.0
// Value and Array: values in memory that several processes see, with their lock.
// Python:  multiprocessing.Value, multiprocessing.Array, sharedctypes.synchronized.
// Differs: `v.value` is get() and set(); lock=False is another type, RawValue. The lock
//          is an RLock of its own, or a given RLock or Lock, which is part of the type.
//          A process that is killed while it holds the lock does not keep it: the value
//          may be half-changed then, which get_lock().acquire() tells.
// Threads: any.
// Processes: as RawValue.
// Owns:    the memory, and the lock.
// Throws:  as RawValue.
#pragma once

#include "mp/raw_value.hpp"
#include "mp/rlock.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mp {

/// Options of Value and Array.
template <class Lock = RLock>
struct SynchronizedOptions {
    /// Shared with whatever else has it.
    Lock lock;
};

namespace detail {

/// Memory that there is.
struct Adopted {};

/// Both are the lock that they have, too: `std::scoped_lock held(v);`.
template <class LockType>
class Synchronized {
public:
    /// The lock, to hold for more than one access; a Lock instead of an RLock must not
    /// be held during any.
    LockType& get_lock() const noexcept { return lock_; }

    AcquireResult acquire(Timeout timeout = forever) const {
        return lock_.acquire(timeout);
    }

    void release() const { lock_.release(); }

    void lock() const { lock_.lock(); }

    void unlock() const { lock_.unlock(); }

    bool try_lock() const { return lock_.try_lock(); }

protected:
    Synchronized() = default;

    explicit Synchronized(LockType lock) : lock_(std::move(lock)) {}

    explicit Synchronized(Decoding decoding) : lock_(decoding) {}

    /// Held for one access. The death of an owner is not looked at: its report stays
    /// for a caller that asks.
    class Held {
    public:
        explicit Held(const Synchronized& object) : lock_(object.lock_) {
            static_cast<void>(lock_.acquire());
        }

        ~Held() { lock_.release(); }

        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;

    private:
        LockType& lock_;
    };

    // A handle; locking changes nothing of it.
    mutable LockType lock_;
};

/// Throws std::out_of_range.
void check_slice(std::size_t begin, std::size_t end, std::size_t size);

}  // namespace detail

/// A T in shared memory with a lock: `mp::Value<int> n(0);`.
template <class T, class LockType = RLock>
class Value : public detail::Synchronized<LockType> {
    using Base = detail::Synchronized<LockType>;
    using Held = typename Base::Held;

public:
    using value_type = T;
    /// Which lock to use, instead of a new one.
    using Options = SynchronizedOptions<LockType>;

    /// T{}.
    Value() = default;

    explicit Value(const T& value) : raw_(value) {}

    /// T{args...}.
    template <class First, class Second, class... Rest>
    Value(First&& first, Second&& second, Rest&&... rest) requires
        std::constructible_from<RawValue<T>, First, Second, Rest...>
        : raw_(
              std::forward<First>(first),
              std::forward<Second>(second),
              std::forward<Rest>(rest)...
          ) {}

    template <class... Args>
    explicit Value(Options options, Args&&... args) requires
        std::constructible_from<RawValue<T>, Args...>
        : Base(std::move(options.lock)), raw_(std::forward<Args>(args)...) {}

    /// sharedctypes.synchronized.
    Value(detail::Adopted, RawValue<T> raw, LockType lock)
        : Base(std::move(lock)), raw_(std::move(raw)) {}

    explicit Value(detail::Decoding decoding) : Base(decoding), raw_(decoding) {}

    /// Under the lock, waiting for it.
    T get() const {
        const Held held(*this);
        return raw_.get();
    }

    /// Under the lock, waiting for it.
    void set(const T& value) {
        const Held held(*this);
        raw_.set(value);
    }

    /// C++ only. Calls `change` with the value itself, under the lock; returns what
    /// it returns.
    template <std::invocable<T&> Change>
    decltype(auto) apply(Change&& change) {
        const Held held(*this);
        return std::forward<Change>(change)(*raw_);
    }

    /// The value without its lock.
    const RawValue<T>& get_obj() const noexcept { return raw_; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& raw_& this->lock_;
    }

private:
    RawValue<T> raw_;
};

/// Elements of type T in shared memory with one lock: `mp::Array<double> a(1000);`.
template <class T, class LockType = RLock>
class Array : public detail::Synchronized<LockType> {
    using Base = detail::Synchronized<LockType>;
    using Held = typename Base::Held;

public:
    using value_type = T;
    /// Which lock to use, instead of a new one.
    using Options = SynchronizedOptions<LockType>;

    /// One element; each use takes the lock. For a reference to it: get_obj()[i].
    class Element {
    public:
        operator T() const {  // NOLINT(google-explicit-constructor): it is a T
            const Held held(array_);
            return place_;
        }

        // NOLINTNEXTLINE(misc-unconventional-assign-operator): to the element
        const Element& operator=(const T& value) const {
            const Held held(array_);
            place_ = value;
            return *this;
        }

        Element& operator=(const Element& other) {
            static_cast<const Element&>(*this) = static_cast<T>(other);
            return *this;
        }

        Element(const Element&) = default;
        ~Element() = default;

        // Each is one step: no other thread comes between reading and writing.
        const Element& operator+=(const T& by) const {
            return change([&](T& value) { value = static_cast<T>(value + by); });
        }

        const Element& operator-=(const T& by) const {
            return change([&](T& value) { value = static_cast<T>(value - by); });
        }

        const Element& operator*=(const T& by) const {
            return change([&](T& value) { value = static_cast<T>(value * by); });
        }

        const Element& operator/=(const T& by) const {
            return change([&](T& value) { value = static_cast<T>(value / by); });
        }

        const Element& operator++() const {
            return change([](T& value) { ++value; });
        }

        const Element& operator--() const {
            return change([](T& value) { --value; });
        }

    private:
        friend class Array;

        Element(const Array& array, T& place) : array_(array), place_(place) {}

        template <class Change>
        const Element& change(Change how) const {
            const Held held(array_);
            how(place_);
            return *this;
        }

        const Array& array_;
        T& place_;
    };

    /// `count` elements, all T{}.
    template <std::integral Int>
    explicit Array(Int count) : raw_(count) {}

    Array(std::initializer_list<T> values) : raw_(values) {}

    template <detail::RangeOf<T> Range>
    explicit Array(const Range& values) : raw_(values) {}

    template <std::integral Int>
    Array(Options options, Int count) : Base(std::move(options.lock)), raw_(count) {}

    Array(Options options, std::initializer_list<T> values)
        : Base(std::move(options.lock)), raw_(values) {}

    template <detail::RangeOf<T> Range>
    Array(Options options, const Range& values)
        : Base(std::move(options.lock)), raw_(values) {}

    /// sharedctypes.synchronized.
    Array(detail::Adopted, RawArray<T> raw, LockType lock)
        : Base(std::move(lock)), raw_(std::move(raw)) {}

    explicit Array(detail::Decoding decoding) : Base(decoding), raw_(decoding) {}

    std::size_t size() const noexcept { return raw_.size(); }

    /// Throws std::out_of_range; -1 is the last element.
    template <std::integral Index>
    Element operator[](Index index) const {
        return {*this, raw_[index]};
    }

    /// The elements themselves; hold get_lock() while you use them.
    std::span<T> span() const noexcept { return raw_.span(); }

    /// A copy of the elements [begin, end), made under the lock.
    std::vector<T> slice(std::size_t begin, std::size_t end) const {
        detail::check_slice(begin, end, size());
        const Held held(*this);
        return {raw_.begin() + begin, raw_.begin() + end};
    }

    /// Overwrites the elements from `begin` on, under the lock. Throws
    /// std::out_of_range when they are not so many; then nothing has changed.
    void set_slice(std::size_t begin, std::span<const T> values) {
        detail::check_slice(begin, values.size() + begin, size());
        const Held held(*this);
        std::copy(values.begin(), values.end(), raw_.begin() + begin);
    }

    void set_slice(std::size_t begin, std::initializer_list<T> values) {
        set_slice(begin, std::span<const T>(values.begin(), values.size()));
    }

    /// Text in an Array<char>, up to its first NUL; Python's `value`.
    std::string value() const requires std::same_as<T, char> {
        const Held held(*this);
        return std::string(raw_.begin(), std::find(raw_.begin(), raw_.end(), '\0'));
    }

    /// Throws std::invalid_argument when the text is too long.
    void set_value(std::string_view text) requires std::same_as<T, char> {
        if (text.size() > size()) {
            throw std::invalid_argument("the text is longer than the array");
        }
        const Held held(*this);
        char* const end = std::copy(text.begin(), text.end(), raw_.begin());
        if (end != raw_.end()) {
            *end = '\0';
        }
    }

    /// The elements without their lock.
    const RawArray<T>& get_obj() const noexcept { return raw_; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& raw_& this->lock_;
    }

private:
    RawArray<T> raw_;
};

namespace sharedctypes {

/// The same memory with a lock: one of its own, or a given one.
template <class T, class LockType = RLock>
Value<T, LockType> synchronized(RawValue<T> raw, LockType lock = LockType()) {
    return Value<T, LockType>(detail::Adopted(), std::move(raw), std::move(lock));
}

template <class T, class LockType = RLock>
Array<T, LockType> synchronized(RawArray<T> raw, LockType lock = LockType()) {
    return Array<T, LockType>(detail::Adopted(), std::move(raw), std::move(lock));
}

}  // namespace sharedctypes

}  // namespace mp
