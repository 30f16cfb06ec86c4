// SPDX-License-Identifier: BSL-1.0
// Taking and giving tokens that are booked, and those that dead processes hold.
#include "sync/token_ledger.hpp"

#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "os/spin.hpp"
#include "sync/owner_lock.hpp"

#include <algorithm>

namespace mp::detail {

namespace {

// The word: free:20 | index:10 | serial:22 | change+2048:12.
constexpr std::uint32_t serial_mask = (1U << 22U) - 1;
constexpr std::int32_t change_offset = 2048;
constexpr std::int32_t largest_change = 2047;

struct Value {
    std::uint32_t free;
    std::uint32_t index;
    std::uint32_t serial;
    std::int32_t change;

    explicit Value(std::uint64_t word) noexcept
        : free(static_cast<std::uint32_t>(word & 0xfffffU)),
          index(static_cast<std::uint32_t>(word >> 20U & 0x3ffU)),
          serial(static_cast<std::uint32_t>(word >> 30U & serial_mask)),
          change(static_cast<std::int32_t>(word >> 52U) - change_offset) {}

    static std::uint64_t pack(
        std::uint32_t free,
        std::uint32_t index,
        std::uint32_t serial,
        std::int32_t change
    ) noexcept {
        return free | static_cast<std::uint64_t>(index) << 20U |
               static_cast<std::uint64_t>(serial & serial_mask) << 30U |
               static_cast<std::uint64_t>(change + change_offset) << 52U;
    }
};

// An entry: serial:32 | balance:32.
constexpr std::uint32_t serial_of(std::uint64_t entry) noexcept {
    return static_cast<std::uint32_t>(entry >> 32U);
}

constexpr std::int32_t balance_of(std::uint64_t entry) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(entry));
}

constexpr std::uint64_t
pack_entry(std::uint32_t serial, std::int32_t balance) noexcept {
    return static_cast<std::uint64_t>(serial) << 32U |
           static_cast<std::uint32_t>(balance);
}

/// What others do makes a thread look again, but not so often in a row.
constexpr int most_looks = 100'000;

[[noreturn]] void throw_damaged() {
    throw DamagedError("a semaphore is damaged: a process has written over its ledger");
}

}  // namespace

void TokenLedger::set(std::uint32_t value) noexcept {
    value_.store(Value::pack(value, 0, 0, 0));
}

std::uint32_t TokenLedger::value() const noexcept {
    return Value(value_.load()).free;
}

std::int32_t TokenLedger::balance(std::uint32_t index) const noexcept {
    return balance_of(entries_.at(index).load());
}

// Enters the last change into the ledger, at most once: the entry says which one it
// has. Every change of the value begins with this, so a change is booked even if its
// maker was killed right after it. False when the entry can have nothing to do with
// this change, though it is still the last one.
bool TokenLedger::book(std::uint64_t last) noexcept {
    const Value value(last);
    Word& entry = entries_.at(value.index);
    std::uint64_t known = entry.load();
    if (serial_of(known) == ((value.serial - 1) & serial_mask)) {
        MP_FAILPOINT("ledger: before the booking");
        entry.compare_exchange_strong(
            known, pack_entry(value.serial, balance_of(known) - value.change)
        );
        MP_FAILPOINT("ledger: booked");
        return true;
    }
    return serial_of(known) == value.serial || value_.load() != last;
}

/// The value, booked.
std::uint64_t TokenLedger::settled_value() {
    for (int looks = 0; looks < most_looks; ++looks) {
        const std::uint64_t seen = value_.load();
        if (book(seen)) {
            return seen;
        }
    }
    throw_damaged();
}

bool TokenLedger::change(std::uint32_t index, std::int32_t by, std::uint32_t bound) {
    for (int looks = 0;; ++looks) {
        std::uint64_t seen = settled_value();
        const std::uint64_t entry = entries_.at(index).load();
        const Value value(seen);
        if (value.index == index && serial_of(entry) != value.serial) {
            if (looks > most_looks) {
                throw_damaged();
            }
            continue;
        }
        const std::int64_t free = static_cast<std::int64_t>(value.free) + by;
        if (free < 0 || free > bound) {
            return false;
        }
        const std::uint64_t next = Value::pack(
            static_cast<std::uint32_t>(free), index, serial_of(entry) + 1, by
        );
        MP_FAILPOINT("ledger: before the change");
        if (value_.compare_exchange_strong(seen, next)) {
            MP_FAILPOINT("ledger: changed");
            book(next);
            MP_FAILPOINT("ledger: change booked");
            return true;
        }
    }
}

// The same in the name of a dead process, as long as its entry is the one seen: a
// balance alone could be that of the entry's next process.
bool TokenLedger::give_back(std::uint32_t index, std::uint64_t entry) {
    const std::int32_t by = std::min(balance_of(entry), largest_change);
    for (;;) {
        std::uint64_t seen = settled_value();
        const Value value(seen);
        if (entries_.at(index).load() != entry ||
            (value.index == index && serial_of(entry) != value.serial)) {
            return false;
        }
        const std::uint32_t free =
            std::min(value.free + static_cast<std::uint32_t>(by), max_tokens);
        const std::uint64_t next = Value::pack(free, index, serial_of(entry) + 1, by);
        MP_FAILPOINT("ledger: before the giving back");
        if (value_.compare_exchange_strong(seen, next)) {
            MP_FAILPOINT("ledger: given back");
            book(next);
            return true;
        }
    }
}

std::uint32_t TokenLedger::reclaim(const ProcessTable& processes) {
    std::uint32_t total = 0;
    for (std::uint32_t index = 0; index < ProcessTable::capacity; ++index) {
        const std::uint32_t generation = generations_.at(index).load();
        const std::int32_t balance = balance_of(entries_.at(index).load());
        if (generation == 0 && balance != 0 && generations_.at(index).load() == 0) {
            throw_damaged();
        }
        if (generation == 0 || balance == 0 ||
            !processes.dead(
                generation << ProcessTable::index_bits | index,
                ProcessTable::Look::thorough
            )) {
            continue;
        }
        for (int looks = 0;; ++looks) {
            settled_value();
            const std::uint64_t entry = entries_.at(index).load();
            if (balance_of(entry) <= 0 || generations_.at(index).load() != generation) {
                break;
            }
            if (looks > most_looks) {
                throw_damaged();
            }
            if (give_back(index, entry)) {
                total += static_cast<std::uint32_t>(
                    std::min(balance_of(entry), largest_change)
                );
            }
        }
    }
    if (total > 0) {
        ring(total);
    }
    return total;
}

// A process that is new here finds what the last one with its index left.
std::uint32_t TokenLedger::enrol(ProcessTable& processes) {
    const ProcessTable::Id me = processes.self();
    const std::uint32_t index = ProcessTable::index_of(me);
    std::atomic<std::uint32_t>& generation = generations_.at(index);
    // order: relaxed, because change() acts on what it exchanges, not on this: a thread
    // that reads an old value goes the long way below.
    if (generation.load(std::memory_order_relaxed) == ProcessTable::generation_of(me))
        [[likely]] {
        return index;
    }
    for (int looks = 0;; ++looks) {
        if (looks > most_looks) {
            throw_damaged();
        }
        settled_value();
        const std::uint64_t entry = entries_.at(index).load();
        // Another thread of this process may have been here, and have taken tokens.
        if (generation.load() == ProcessTable::generation_of(me)) {
            return index;
        }
        if (balance_of(entry) > 0) {
            MP_FAILPOINT("ledger: predecessor found");
            if (give_back(index, entry)) {
                ring(1);
            }
        } else if (balance_of(entry) < 0) {
            std::uint64_t expected = entry;
            entries_.at(index).compare_exchange_strong(
                expected, pack_entry(serial_of(entry), 0)
            );
        } else {
            generation.store(ProcessTable::generation_of(me));
            return index;
        }
    }
}

/// Whether there are fewer tokens, free and held, than there were at first. There may
/// be more: nobody is asked for what a dead process gave that others had taken.
bool TokenLedger::misses_tokens(std::uint32_t total) {
    const std::uint64_t seen = settled_value();
    std::int64_t sum = Value(seen).free;
    for (const Word& entry : entries_) {
        sum += balance_of(entry.load());
    }
    return value_.load() == seen && sum < total;
}

bool TokenLedger::acquire(
    ProcessTable& processes, Timeout timeout, std::uint32_t total
) {
    const std::uint32_t index = enrol(processes);
    if (change(index, -1, max_tokens)) {
        return true;
    }
    const Deadline deadline(timeout);
    spin([&] { return value() > 0 || deadline.expired(); });
    int missed = 0;
    for (;;) {
        missed = misses_tokens(total) ? missed + 1 : 0;
        if (missed > 3) {
            throw_damaged();
        }
        if (reclaim(processes) > 0 && change(index, -1, max_tokens)) {
            return true;
        }
        if (deadline.expired()) {
            return false;
        }
        const std::uint32_t heard = bell_.load();
        sleeping_.store(1);
        // Seen by release() unless it had given its token before, which is seen here.
        if (value() == 0) {
            MP_FAILPOINT("ledger: before the sleep");
            futex_wait(
                bell_, heard, deadline.sooner(recheck_interval), FutexScope::shared
            );
            MP_FAILPOINT("ledger: after the sleep");
        }
        if (change(index, -1, max_tokens)) {
            // Others may sleep on.
            sleeping_.store(1);
            if (value() > 0) {
                ring(1);
            }
            return true;
        }
    }
}

bool TokenLedger::release(
    ProcessTable& processes, std::uint32_t count, std::uint32_t bound
) {
    const std::uint32_t index = enrol(processes);
    const std::uint32_t total = count;
    // More than one change can say is given in parts; the first one looks at all of it.
    if (count > max_tokens || value() + count > std::min(bound, max_tokens)) {
        return false;
    }
    while (count > 0) {
        const auto part = static_cast<std::int32_t>(
            std::min(count, static_cast<std::uint32_t>(largest_change))
        );
        if (!change(index, part, std::min(bound, max_tokens))) {
            return false;
        }
        count -= static_cast<std::uint32_t>(part);
    }
    MP_FAILPOINT("ledger: given");
    if (sleeping_.load() != 0) {
        ring(total);
    }
    return true;
}

void TokenLedger::ring(std::uint32_t count) noexcept {
    if (sleeping_.exchange(0) != 0) {
        bell_.fetch_add(1);
        futex_wake(bell_, count > 1 ? everybody : 1, FutexScope::shared);
        MP_FAILPOINT("ledger: rung");
    }
}

}  // namespace mp::detail
