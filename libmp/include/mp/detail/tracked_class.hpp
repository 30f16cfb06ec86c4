// SPDX-License-Identifier: BSL-1.0
// TrackedClass: does this program save objects of a class through pointers?
// Python:  pickle's memo, which remembers every object.
// Differs: Boost's rule: an object saved by value is remembered only if some pointer to
//          its class is saved somewhere in the program, as only then one may follow.
// Threads: any; loading a shared library beside an encode is Boost's own race.
#pragma once

#include <atomic>
#include <cstdint>
#include <typeinfo>

namespace mp::detail {

/// Grows with each class that is registered for pointers, also by a library that is
/// loaded later.
extern std::atomic<std::uint64_t> pointer_class_generation;

class TrackedClass {
public:
    explicit constexpr TrackedClass(const std::type_info& type) : type_(&type) {}

    /// Objects of this class go to the full archive, which knows their addresses.
    bool is_saved_through_pointers() noexcept {
        // order: none needed; registrations come before the uses that depend on them,
        // and both values only decide whether the registry is asked again.
        const auto now = pointer_class_generation.load(std::memory_order_relaxed);
        const auto answer = answer_.load(std::memory_order_relaxed);
        if (answer >> 1 == now) [[likely]] {
            return (answer & 1) != 0;
        }
        return ask(now);
    }

    const std::type_info& type() const noexcept { return *type_; }

private:
    bool ask(std::uint64_t generation) noexcept;

    // Set once in the constructor.
    const std::type_info* type_;
    // Own synchronisation. generation << 1 | saved through pointers.
    std::atomic<std::uint64_t> answer_{0};
};

template <class T>
inline constinit TrackedClass tracked_class{typeid(T)};

}  // namespace mp::detail
