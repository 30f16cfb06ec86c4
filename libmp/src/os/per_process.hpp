// SPDX-License-Identifier: BSL-1.0
// PerProcess: a registry of which each process has one of its own. A forked child finds
// the parent's as the fork left it, perhaps half-changed and with its lock held by a
// thread that does not exist, so it begins with a fresh one.
#pragma once

#include "os/fork.hpp"

#include <concepts>
#include <memory>

namespace mp::os {

enum class AtFork : bool { begins_anew, takes_over };

/// The T of this process: made when the program is loaded, never destroyed, so that
/// exit handlers and static destructors may still use it. In a child of fork() another
/// one takes its place before any other code of the library runs there; nothing there
/// takes the parent's lock.
///
/// With AtFork::takes_over the fresh one gets the parent's, in `take_over(parents)`,
/// to keep or close something of it; what must not be destroyed there it releases.
/// Otherwise the parent's is left as it is: to take it apart could go wrong under its
/// lock.
template <std::default_initializable T, AtFork at_fork = AtFork::begins_anew>
class PerProcess {
public:
    static T& get() {
        static const bool ready = [] {
            current_ = new T;
            on_fork_in_child(replace_in_child);
            return true;
        }();
        static_cast<void>(ready && made_early_);
        return *current_;
    }

private:
    static void replace_in_child() {
        // First the fresh one: code that runs during the take-over finds it.
        T* const parents = current_;
        current_ = new T;
        left_alone_ = new LeftAlone{parents, left_alone_};
        if constexpr (at_fork == AtFork::takes_over) {
            current_->take_over(std::unique_ptr<T>(parents));
        }
    }

    static inline T* current_ = nullptr;
    // The parent's, its parent's, and so on: what is left alone is still known to
    // somebody, so it is no leak. What was taken over may be gone.
    struct LeftAlone {
        const T* parents;
        const LeftAlone* before;
    };

    static inline const LeftAlone* left_alone_ = nullptr;
    // While the program is loaded: no fork can fall into the making, in another thread,
    // of what the child then waits for.
    static inline const bool made_early_ = (get(), true);
};

}  // namespace mp::os
