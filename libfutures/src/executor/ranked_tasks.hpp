// SPDX-License-Identifier: BSL-1.0
// RankedTasks: tasks in the order of their priorities, and of their turns within one.
// So that none waits for ever, the one that has waited for longest is passed by
// `most_passes` others at most; then it is the first.
// Threads: as whoever has them says; they have no lock of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <new>
#include <set>

namespace futures::detail {

/// A task of some other line, which stands before all others of it.
template <class Priority>
struct Rival {
    Priority priority{};
    bool is_oldest = false;  ///< it has waited for longer than all that are ranked
};

/// `Task` has a `priority`, and a `turn` that is different for each.
template <class Task>
class RankedTasks {
public:
    static constexpr std::uint32_t most_passes = 256;

    using Priority = decltype(Task::priority);

    bool empty() const noexcept { return by_rank_.empty(); }

    std::size_t size() const noexcept { return by_rank_.size(); }

    /// The one that has waited for longest. Requires: not empty.
    const Task& oldest() const noexcept { return **by_turn_.begin(); }

    /// False without memory; then nothing happened.
    bool add(Task& task) noexcept {
        try {
            by_turn_.insert(&task);
            try {
                by_rank_.insert(&task);
            } catch (...) {
                by_turn_.erase(&task);
                throw;
            }
            return true;
        } catch (const std::bad_alloc&) {
            return false;
        }
    }

    void remove(Task& task) noexcept {
        if (*by_turn_.begin() == &task) {
            passes_ = 0;  // the next one has the longest wait from now on
        }
        by_turn_.erase(&task);
        by_rank_.erase(&task);
    }

    /// The next one; it is removed, and if it was passed by for long enough, it keeps
    /// the highest priority. Requires: not empty.
    Task& take() noexcept {
        bool is_due = false;
        Task& next = *take_before(nullptr, is_due);
        if (is_due) {
            next.priority = std::numeric_limits<Priority>::max();
        }
        return next;
    }

    /// The next one; it is removed. Null when it is the turn of `rival`, if there is
    /// one. Requires: not empty.
    Task* take_before(const Rival<Priority>* rival) noexcept {
        bool is_due = false;
        return take_before(rival, is_due);
    }

    /// A task that was taken comes back by add(), because a better one came.
    void untake() noexcept { passes_ -= passes_ > 0 ? 1 : 0; }

    template <class List>
    void move_all_to(List& list) noexcept {
        for (Task* const task : by_rank_) {
            list.push_back(*task);
        }
        by_rank_.clear();
        by_turn_.clear();
        passes_ = 0;
    }

private:
    struct Older {
        bool operator()(const Task* a, const Task* b) const noexcept {
            return a->turn != b->turn ? a->turn < b->turn
                                      : std::less<const Task*>()(a, b);
        }
    };

    struct Better {
        bool operator()(const Task* a, const Task* b) const noexcept {
            return a->priority != b->priority ? a->priority > b->priority
                                              : Older()(a, b);
        }
    };

    Task* take_before(const Rival<Priority>* rival, bool& is_due) noexcept {
        Task* const first = *by_rank_.begin();
        Task* const oldest = *by_turn_.begin();
        const bool rival_is_oldest = rival != nullptr && rival->is_oldest;
        const bool rival_is_first =
            rival != nullptr && rival->priority > first->priority;
        const bool in_turn =
            rival_is_first ? rival_is_oldest : !rival_is_oldest && first == oldest;
        is_due = !in_turn && passes_ >= most_passes;
        const std::uint32_t passes = in_turn || is_due ? 0 : passes_ + 1;
        Task* const next = is_due           ? (rival_is_oldest ? nullptr : oldest)
                           : rival_is_first ? nullptr
                                            : first;
        if (next != nullptr) {
            remove(*next);
        }
        passes_ = passes;
        return next;
    }

    std::set<Task*, Better> by_rank_;
    std::set<Task*, Older> by_turn_;
    std::uint32_t passes_ = 0;  ///< of the one that has waited for longest
};

}  // namespace futures::detail
