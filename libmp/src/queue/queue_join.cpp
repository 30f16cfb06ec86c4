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
#include "queue/queue_checks.hpp"
#include "queue/queue_layout.hpp"
#include "queue/queue_lock.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace mp::detail {
namespace {

// An account, before it is closed: index + 1:12 | generation:20 | items:32. A count:
// a mark:32 | the count:32. Closed, it goes with the key of the queue. A word that was
// overwritten is a count only by chance, and an account only with few items.
constexpr unsigned mark_shift = 32;
constexpr std::uint64_t used_mark = 0x7573'6564U;
constexpr std::uint64_t deaths_mark = 0x6465'6164U;

std::uint64_t
account_of(std::uint32_t index, std::uint32_t generation, std::int32_t items) {
    return std::uint64_t{index + 1} << 52U | std::uint64_t{generation} << 32U |
           static_cast<std::uint32_t>(items);
}

std::uint32_t generation_of(std::uint64_t account) {
    return static_cast<std::uint32_t>(account >> 32U & 0xfffffU);
}

ProcessTable::Id process_of(std::uint64_t account) {
    const auto index = static_cast<std::uint32_t>((account >> 52U) - 1);
    return generation_of(account) << ProcessTable::index_bits | index;
}

std::int32_t items_of(std::uint64_t account) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(account));
}

constexpr std::uint64_t counted(std::uint64_t mark, std::uint64_t count) {
    return mark << mark_shift | count;
}

/// Of consumers that were killed when they had booked an item and not taken it: the
/// next one books it again.
constexpr std::int64_t most_booked_twice = std::int64_t{1} << 20U;

}  // namespace

std::uint64_t QueueCore::closed_word(std::uint64_t value) const noexcept {
    return seal::closed(value) ^ geometry_.key;
}

std::uint64_t QueueCore::opened_word(std::uint64_t word) const noexcept {
    return seal::opened(word ^ geometry_.key);
}

void QueueCore::make_accounts() noexcept {
    control().deaths.store(closed_word(counted(deaths_mark, 0)));
    control().accounts_used.store(closed_word(counted(used_mark, 0)));
}

std::uint32_t QueueCore::accounts_used() const {
    const std::uint64_t word = opened_word(control().accounts_used.load());
    const auto used = static_cast<std::uint32_t>(word);
    if (word >> mark_shift != used_mark || used > ProcessTable::capacity) [[unlikely]] {
        throw_damaged("its accounts");
    }
    return used;
}

/// What is booked was put before, and nothing is booked before there is a process.
bool QueueCore::is_possible(std::uint64_t account) const noexcept {
    const std::int64_t items = std::abs(std::int64_t{items_of(account)});
    if (generation_of(account) == 0 || items <= most_booked_twice) {
        return generation_of(account) != 0 || items == 0;
    }
    return static_cast<std::uint64_t>(items - most_booked_twice) <=
           control().put_count.load();
}

/// Requires: index < accounts_used().
std::uint64_t QueueCore::account(std::uint32_t index) const {
    const std::uint64_t account = opened_word(control().accounts.at(index).load());
    if (account >> 52U != index + 1 || !is_possible(account)) [[unlikely]] {
        throw_damaged("its accounts");
    }
    return account;
}

std::uint64_t QueueCore::deaths() const {
    const std::uint64_t word = opened_word(control().deaths.load());
    if (word >> mark_shift != deaths_mark) [[unlikely]] {
        throw_damaged("its accounts");
    }
    return word & ~std::uint32_t{0};
}

void QueueCore::count_death() const {
    for (;;) {
        const std::uint64_t before = deaths();
        std::uint64_t word = closed_word(counted(deaths_mark, before));
        const std::uint64_t next = (before + 1) & ~std::uint32_t{0};
        if (control().deaths.compare_exchange_strong(
                word, closed_word(counted(deaths_mark, next))
            )) {
            return;
        }
    }
}

std::int64_t QueueCore::unfinished() const {
    std::int64_t sum = 0;
    if (shut_state() != QueueShut::to_all) {
        // Not too few: what was taken before its last look is in the accounts by now.
        sum = static_cast<std::int64_t>(check_counts());
    }
    const std::uint32_t used = accounts_used();
    for (std::uint32_t i = 0; i < used; ++i) {
        sum += items_of(account(i));
    }
    return sum;
}

bool QueueCore::is_all_done() const {
    return unfinished() <= 0;
}

void QueueCore::add_to_account(std::int32_t items) {
    QueueControl& shared = control();
    const ProcessTable::Id me = processes().self();
    const std::uint32_t index = ProcessTable::index_of(me);
    for (std::uint32_t used = accounts_used(); used <= index; used = accounts_used()) {
        // First the accounts, then that they are used.
        for (std::uint32_t i = used; i <= index; ++i) {
            std::uint64_t unused = 0;
            shared.accounts.at(i).compare_exchange_strong(
                unused, closed_word(account_of(i, 0, 0))
            );
        }
        std::uint64_t word = closed_word(counted(used_mark, used));
        shared.accounts_used.compare_exchange_strong(
            word, closed_word(counted(used_mark, index + 1))
        );
    }
    std::uint64_t before = 0;
    std::uint64_t word = 0;
    std::uint64_t after = 0;
    bool mine = false;
    do {
        before = account(index);
        word = closed_word(before);
        mine = process_of(before) == me;
        after = account_of(
            index,
            ProcessTable::generation_of(me),
            static_cast<std::int32_t>(std::int64_t{mine ? items_of(before) : 0} + items)
        );
    } while (!shared.accounts.at(index).compare_exchange_weak(word, closed_word(after))
    );
    if (!mine && items_of(before) > 0) {
        // The entry was a dead process's, whose items no process finishes.
        count_death();
        shared.joiners.wake_all();
    }
}

void QueueCore::task_done() {
    check_open();
    QueueControl& shared = control();
    check_undamaged();
    lock(shared.done_lock, done_holder_, forever, nullptr);
    HeldQueueLock held(shared.done_lock, done_holder_, processes().self());
    if (unfinished() <= 0) {
        throw std::invalid_argument("task_done() was called more often than there were "
                                    "items");
    }
    add_to_account(-1);
    MP_FAILPOINT("task_done: booked");
    held.release();
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
    const HeldQueueLock held(shared.done_lock, done_holder_, processes().self());
    const std::uint32_t used = accounts_used();
    std::int64_t in_accounts = 0;
    for (std::uint32_t i = 0; i < used; ++i) {
        in_accounts += items_of(account(i));
    }
    for (std::uint32_t i = 0; i < used; ++i) {
        const std::uint64_t before = account(i);
        // Others may have reported some of them.
        const auto lost = static_cast<std::int32_t>(std::clamp<std::int64_t>(
            items_of(before), 0, std::max<std::int64_t>(in_accounts, 0)
        ));
        if (generation_of(before) == 0 || lost <= 0 ||
            !processes().dead(process_of(before))) {
            continue;
        }
        std::uint64_t word = closed_word(before);
        const std::uint64_t after =
            account_of(i, generation_of(before), items_of(before) - lost);
        if (shared.accounts.at(i).compare_exchange_strong(word, closed_word(after))) {
            in_accounts -= lost;
            count_death();
        }
    }
}

bool QueueCore::join(const Deadline& deadline) {
    check_open();
    QueueControl& shared = control();
    for (;;) {
        check_undamaged();
        if (const std::uint64_t died = deaths(); died != 0) {
            std::uint64_t word = closed_word(counted(deaths_mark, died));
            if (!shared.deaths.compare_exchange_strong(
                    word, closed_word(counted(deaths_mark, 0))
                )) {
                continue;
            }
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
        shared.joiners.wait(
            next,
            [&] { return is_all_done() || deaths() != 0; },
            Progress(),
            [] { return false; }
        );
        check_counts();
        forget_dead();
    }
}

}  // namespace mp::detail
