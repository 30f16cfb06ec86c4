// SPDX-License-Identifier: BSL-1.0
// For JoinableQueue: which items were taken and are not reported done.
//
// Unfinished is what stands in the queue and what stands in the accounts. An item is
// booked before it leaves the queue, so no sum ever misses one; a thread that counts
// reads the queue first.
#include "mp/detail/queue_core.hpp"
#include "mp/errors.hpp"

#include "memory/process_table.hpp"
#include "os/failpoint.hpp"
#include "queue/queue_layout.hpp"

#include <algorithm>
#include <stdexcept>

namespace mp::detail {
namespace {

std::uint64_t account(ProcessTable::Id process, std::int32_t items) {
    return (std::uint64_t{process} << 32U) | static_cast<std::uint32_t>(items);
}

ProcessTable::Id process_of(std::uint64_t account) {
    return static_cast<ProcessTable::Id>(account >> 32U);
}

std::int32_t items_of(std::uint64_t account) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(account));
}

}  // namespace

std::int64_t QueueCore::unfinished() const noexcept {
    const QueueControl& shared = control();
    std::int64_t sum = 0;
    if (shared.shut.load() != QueueShut::to_all) {
        const std::uint64_t taken = shared.get_count.load();
        sum = static_cast<std::int64_t>(shared.put_count.load() - taken);
    }
    const std::uint32_t used = shared.accounts_used.load();
    for (std::uint32_t i = 0; i < used; ++i) {
        sum += items_of(shared.accounts[i].load());
    }
    return sum;
}

void QueueCore::add_to_account(std::int32_t items) {
    QueueControl& shared = control();
    const ProcessTable::Id me = processes().self();
    const std::uint32_t index = ProcessTable::index_of(me);
    std::uint32_t used = shared.accounts_used.load();
    while (used <= index && !shared.accounts_used.compare_exchange_weak(used, index + 1)
    ) {
    }
    auto& word = shared.accounts[index];
    std::uint64_t before = word.load();
    std::uint64_t after = 0;
    do {
        const bool mine = process_of(before) == me;
        after = account(me, (mine ? items_of(before) : 0) + items);
    } while (!word.compare_exchange_weak(before, after));
    if (process_of(before) != me && items_of(before) > 0) {
        // The entry was a dead process's, whose items no process finishes.
        shared.deaths.fetch_add(1);
        shared.joiners.wake_all();
    }
}

void QueueCore::task_done() {
    check_open();
    QueueControl& shared = control();
    if (shared.done_lock.acquire(processes(), forever) == Taken::no) {
        return;
    }
    if (unfinished() <= 0) {
        shared.done_lock.release();
        throw std::invalid_argument("task_done() was called more often than there were "
                                    "items");
    }
    add_to_account(-1);
    MP_FAILPOINT("task_done: booked");
    shared.done_lock.release();
    if (unfinished() <= 0) {
        shared.joiners.wake_all();
    }
}

/// What dead processes took will not be reported: it counts no more.
void QueueCore::forget_dead() {
    QueueControl& shared = control();
    if (shared.done_lock.acquire(processes(), std::chrono::milliseconds(0)) ==
        Taken::no) {
        return;  // After the next recheck interval will do.
    }
    const std::uint32_t used = shared.accounts_used.load();
    std::int64_t in_accounts = 0;
    for (std::uint32_t i = 0; i < used; ++i) {
        in_accounts += items_of(shared.accounts[i].load());
    }
    for (std::uint32_t i = 0; i < used; ++i) {
        std::uint64_t before = shared.accounts[i].load();
        const ProcessTable::Id process = process_of(before);
        // Others may have reported some of them.
        const auto lost = static_cast<std::int32_t>(std::clamp<std::int64_t>(
            items_of(before), 0, std::max<std::int64_t>(in_accounts, 0)
        ));
        if (process != 0 && lost > 0 && processes().dead(process) &&
            shared.accounts[i].compare_exchange_strong(
                before, account(process, items_of(before) - lost)
            )) {
            in_accounts -= lost;
            shared.deaths.fetch_add(1);
        }
    }
    shared.done_lock.release();
}

bool QueueCore::join(const Deadline& deadline) {
    check_open();
    QueueControl& shared = control();
    for (;;) {
        if (shared.deaths.exchange(0) != 0) {
            throw OwnerDied(
                "a process died that had taken items from the queue and not "
                "reported them done; they count as finished now"
            );
        }
        if (unfinished() <= 0) {
            return true;
        }
        if (deadline.expired()) {
            return false;
        }
        const Deadline next = deadline.sooner(recheck_interval);
        shared.joiners.wait(next, [&] {
            return unfinished() <= 0 || shared.deaths.load() != 0;
        });
        forget_dead();
    }
}

}  // namespace mp::detail
