// SPDX-License-Identifier: BSL-1.0
#include "process_pool/nested_calls.hpp"

#include "mp/remote_error.hpp"

#include "os/fence.hpp"
#include "process_pool/process_pool_core.hpp"

#include <algorithm>
#include <exception>

namespace futures::detail {

using mp::detail::FutexScope;
using mp::detail::MutexLock;

namespace {

/// What is longer is not copied while results are drained.
constexpr std::size_t longest_told_at_once = 4096;

}  // namespace

// ---- NestedTask

/// Under the board's drain lock, unless it never was on the board.
bool NestedTask::finish() noexcept {
    const bool later = !on_stack && (end == TaskEnd::failed ||
                                     message.bytes().size() > longest_told_at_once);
    add_reference();  // the link's may be the last one
    if (!later) {
        calls_.ended(*this);
    }
    // The executor's reference goes in it.
    static_cast<void>(ProcessTask<void>::finish());
    if (!later) {
        drop_reference();
    }
    return later;
}

void NestedTask::finish_callbacks() {
    calls_.ended(*this);
    drop_reference();
}

void NestedTask::cancel_future() {
    add_reference();
    ProcessTask<void>::cancel_future();
    end = TaskEnd::cancelled;
    calls_.ended(*this);
    drop_reference();
}

// ---- NestedCalls

NestedCalls::NestedCalls(Board& board, std::uint64_t longest)
    : board_(board), longest_(longest), links_(board.options().workers) {}

NestedCalls::~NestedCalls() = default;

NestedLink* NestedCalls::link_of(std::uint32_t worker) noexcept {
    const MutexLock lock(mutex_);
    return links_[worker].get();
}

NestedLink* NestedCalls::open(std::uint32_t worker) {
    const MutexLock lock(mutex_);
    auto& link = links_[worker];
    if (!link && board_.view().control(worker).has_link.load() != 0) {
        link = std::make_unique<NestedLink>(
            board_.view().link(worker), links_made_.load() + 1, longest_
        );
        ++links_made_;
    }
    return link.get();
}

std::vector<NestedTaskPtr>
NestedCalls::close(std::uint32_t worker, std::uint64_t lost_from) {
    std::vector<NestedTaskPtr> lost;
    std::unique_ptr<NestedLink> link;  // it goes without the lock
    const MutexLock lock(mutex_);
    link = std::move(links_[worker]);
    if (link) {
        for (auto& [number, task] : link->tasks) {
            if (task->origin.owner >= lost_from && !task->origin.detached) {
                lost.push_back(task);
            }
        }
    }
    return lost;
}

std::vector<NestedTaskPtr> NestedCalls::calls_of(std::uint64_t owner) {
    std::vector<NestedTaskPtr> found;
    const MutexLock lock(mutex_);
    for (const auto& link : links_) {
        if (!link) {
            continue;
        }
        for (const auto& [number, task] : link->tasks) {
            if (task->origin.owner == owner && !task->origin.detached) {
                found.push_back(task);
            }
        }
    }
    return found;
}

void NestedCalls::add(NestedLink& link, NestedTaskPtr task) {
    const MutexLock lock(mutex_);
    const std::uint64_t number = task->origin.number;
    link.tasks[number] = std::move(task);
}

NestedTaskPtr NestedCalls::find(NestedLink& link, std::uint64_t number) {
    const MutexLock lock(mutex_);
    const auto found = link.tasks.find(number);
    return found != link.tasks.end() ? found->second : NestedTaskPtr();
}

NestedTaskPtr NestedCalls::take(NestedLink& link, std::uint64_t number) {
    NestedTaskPtr task;
    const MutexLock lock(mutex_);
    const auto found = link.tasks.find(number);
    if (found != link.tasks.end()) {
        task = std::move(found->second);
        link.tasks.erase(found);
    }
    return task;
}

void NestedCalls::tell(
    std::uint32_t worker, NestedLink& link, std::vector<std::byte> frame
) {
    const MutexLock lock(mutex_);
    tell_locked(worker, link, std::move(frame));
}

void NestedCalls::go_on_telling(std::uint32_t worker, NestedLink& link) {
    const MutexLock lock(mutex_);
    if (!link.untold.empty()) {
        flush(worker, link);
    }
}

/// Null: that process is gone.
NestedLink* NestedCalls::link_to(const NestedOrigin& origin) noexcept {
    NestedLink* const link = links_[origin.worker].get();
    return link != nullptr && link->number == origin.link ? link : nullptr;
}

void NestedCalls::ended(NestedTask& task) noexcept {
    NestedTaskPtr kept;  // its reference goes without the lock
    try {
        std::vector<std::byte> frame;
        TaskEnd end = task.end;
        if (!task.on_stack) {
            mp::detail::ByteWriter failure;
            std::span<const std::byte> bytes = task.message.bytes();
            if (end == TaskEnd::failed) {
                // finish() has given it to the future, whose it is now.
                mp::detail::encode_exception(
                    failure, task.failure ? task.failure : task.exception()
                );
                bytes = failure.data();
                end = TaskEnd::exception;
            } else if (end == TaskEnd::cancelled) {
                bytes = {};
            }
            frame = frame_of(
                TellHead{
                    TellKind::result,
                    task.origin.number,
                    static_cast<std::uint64_t>(end)},
                bytes
            );
        }
        const MutexLock lock(mutex_);
        NestedLink* const link = link_to(task.origin);
        if (link == nullptr) {
            return;
        }
        const auto found = link->tasks.find(task.origin.number);
        if (found == link->tasks.end() || found->second.get() != &task) {
            return;
        }
        kept = std::move(found->second);
        link->tasks.erase(found);
        if (!frame.empty()) {
            tell_locked(task.origin.worker, *link, std::move(frame));
        }
    } catch (const std::exception&) {
        // No memory: its worker would wait for ever, if it is that one still.
        const MutexLock lock(mutex_);
        if (link_to(task.origin) != nullptr) {
            board_.kill_worker_of(task.origin.worker);
        }
    }
}

void NestedCalls::tell_locked(
    std::uint32_t worker, NestedLink& link, std::vector<std::byte> frame
) {
    link.untold.push_back(std::move(frame));
    flush(worker, link);
}

void NestedCalls::flush(std::uint32_t worker, NestedLink& link) noexcept {
    while (!link.untold.empty()) {
        if (!link.is_telling) {
            link.tells.begin(link.untold.front());
            link.is_telling = true;
        }
        if (link.tells.go_on()) {
            link.untold.pop_front();
            link.is_telling = false;
        } else if (link.tells.is_damaged()) {
            board_.kill_worker_of(worker);
            return;
        } else if (link.tells.want_room()) {
            break;  // the worker asks when there is some
        }
    }
    // Sequentially consistent with WorkerLink: it says who sleeps, then looks at the
    // ring; we wrote to the ring, then look who sleeps.
    LinkMemory& memory = board_.view().link(worker);
    mp::os::full_fence();
    const bool task = memory.sleeper.load() == LinkSleeper::task;
    auto& bell = memory.bells[task ? 1 : 0];
    bell.fetch_add(1);
    futex_wake(bell, mp::detail::everybody, FutexScope::shared);
}

void NestedCalls::note_stopped(std::uint64_t position) noexcept {
    try {
        const MutexLock lock(mutex_);
        stopped_.push_back(position);
    } catch (const std::bad_alloc&) {
        return;  // what it has submitted goes on
    }
    board_.doorbell().ring();
}

std::vector<std::uint64_t> NestedCalls::take_stopped() noexcept {
    const MutexLock lock(mutex_);
    return std::exchange(stopped_, {});
}

}  // namespace futures::detail
