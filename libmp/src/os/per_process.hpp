// SPDX-License-Identifier: BSL-1.0
// PerProcess: a registry of which each process has one of its own. A forked child finds
// the parent's as the fork left it, perhaps half-changed and with its lock held by a
// thread that does not exist, so it begins with a fresh one.
#pragma once

#include "os/fork.hpp"

#include <concepts>
#include <memory>

namespace mp::os {

/// The T of this process: made at the first use, never destroyed, so that exit handlers
/// and static destructors may still use it. In a child of fork() another one takes its
/// place before any other code of the library runs there; nothing there takes the
/// parent's lock.
///
/// A T that keeps or closes something of the parent's has a constructor from
/// std::unique_ptr<T>, which gets the parent's; it releases what must not be destroyed.
/// The one of any other T is left as it is: to take it apart could go wrong under the
/// parent's lock.
template <std::default_initializable T>
class PerProcess {
public:
    static T& get() {
        static const bool ready = [] {
            current_ = new T;
            on_fork_in_child(replace_in_child);
            return true;
        }();
        static_cast<void>(ready);
        return *current_;
    }

private:
    static void replace_in_child() {
        if constexpr (std::constructible_from<T, std::unique_ptr<T>>) {
            current_ = new T(std::unique_ptr<T>(current_));
        } else {
            current_ = new T;
        }
    }

    static inline T* current_ = nullptr;
};

}  // namespace mp::os
