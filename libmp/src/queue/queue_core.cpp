// SPDX-License-Identifier: BSL-1.0
// Putting and getting: which thread waits for what, and when an item counts.
#include "mp/detail/queue_core.hpp"

#include "mp/errors.hpp"

#include "memory/process_table.hpp"
#include "os/address_space.hpp"
#include "os/failpoint.hpp"
#include "os/page.hpp"
#include "os/random.hpp"
#include "queue/queue_checks.hpp"
#include "queue/queue_layout.hpp"
#include "queue/queue_lock.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <new>
#include <stdexcept>
#include <string>

namespace mp::detail {
namespace {

constexpr std::uint64_t max_chunks_ever = 1UL << 20U;

/// Of the addresses that are left, a queue takes one part in so many.
constexpr std::size_t parts_of_addresses = 8;

std::uint64_t half_of_memory() {
    const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
    return pages * os::page_size() / 2;
}

std::uint64_t chunks_for(std::uint64_t bytes) {
    return std::bit_ceil(std::clamp<std::uint64_t>(
        (bytes + chunk_bytes - 1) / chunk_bytes, least_chunks, max_chunks_ever
    ));
}

/// How the segment of a queue is divided.
struct Room {
    std::uint64_t chunks;
    std::uint64_t large;

    std::uint64_t first_chunk() const {
        return os::rounded_up(3 * chunks * sizeof(std::uint64_t), os::page_size());
    }

    std::uint64_t whole() const { return first_chunk() + chunks * chunk_bytes + large; }

    bool is_least() const {
        return chunks == least_chunks && large == least_large_bytes;
    }

    Room half() const {
        return {
            .chunks = std::max(chunks / 2, least_chunks),
            .large = std::max(
                os::rounded_down(large / 2, large_alignment), least_large_bytes
            )};
    }
};

/// What a queue of this kind can ever fill, as far as that is known.
Room room_for(const QueueLimits& limits) {
    const std::uint64_t bytes =
        limits.max_bytes != 0 ? limits.max_bytes : half_of_memory();
    std::uint64_t small = bytes;
    std::uint64_t large = bytes;
    const std::uint64_t longest =
        limits.item_bytes != 0 ? std::min(limits.item_bytes, max_inline) : max_inline;
    const std::uint64_t in_chunk = chunk_bytes / (sizeof(ItemHeader) + longest + 15);
    if (limits.max_items != 0 && limits.max_items / in_chunk < max_chunks_ever) {
        // Those of the items, the one that is being read, and the ends of two.
        const std::uint64_t chunks = limits.max_items / in_chunk + 3;
        small = std::min(small, chunks * chunk_bytes);
    }
    if (limits.item_bytes != 0 && limits.item_bytes <= max_inline) {
        large = 0;
    }
    return {
        .chunks = chunks_for(small),
        .large = os::rounded_down(std::max(large, least_large_bytes), large_alignment)};
}

constexpr std::size_t control_bytes(bool joinable) {
    return joinable ? sizeof(QueueControl) : offsetof(QueueControl, done_lock);
}

Segment make_segment(Room& room) {
    const std::uint64_t most = os::largest_reservation(parts_of_addresses);
    while (room.whole() > most && !room.is_least()) {
        room = room.half();
    }
    for (;;) {
        try {
            return {"mp-queue", room.whole()};
        } catch (const ResourceLimitExceeded&) {
            if (room.is_least()) {
                throw;
            }
            room = room.half();
        }
    }
}

}  // namespace

void QueueItem::close_large() noexcept {
    core_->close_large(*large_, number_, word_);
}

void QueueItem::check_kept() const {
    if (large_ != nullptr) {
        core_->check_undamaged();
        // order: acquire, our reads come before it.
        std::atomic_thread_fence(std::memory_order_acquire);
        if (large_->reader.load() != word_) {
            core_->throw_damaged("a large item that was being read");
        }
    }
}

std::byte* QueueItem::heap_room(std::size_t size) {
    heap_ = std::make_unique_for_overwrite<std::byte[]>(size);
    return heap_.get();
}

QueueCore::QueueCore(const QueueLimits& limits) {
    const Room wanted = room_for(limits);
    Room room = wanted;
    data_ = make_segment(room);
    block_ = SharedBlock::allocate(control_bytes(limits.joinable), 64);
    control_ = &block_.as<QueueControl>();
    processes_ = &block_.processes();
    memory_ = data_.data();
    geometry_ = {
        .max_items = limits.max_items,
        .max_chunks = room.chunks,
        .first_chunk = room.first_chunk(),
        .large_bytes = room.large,
        .trim_threshold = limits.trim_threshold,
        .type_tag = limits.type_tag,
        .shrunk = room.whole() < wanted.whole(),
        .joinable = limits.joinable,
    };
    os::random_bytes(std::as_writable_bytes(std::span(&geometry_.key, 1)));
    learn_codes();
    QueueControl& made = control();
    PutEnd first{};
    first.fresh = 1;
    seal_rest(first);
    first.place_seal = first.right_place_seal(geometry_.key, 0);
    made.put_ends[0] = first;
    made.put_seals[0].store(seal::of(geometry_.key, 0));
    made.get_ends[0].seal.store(GetPlace{}.right_seal(geometry_.key, 0));
    made.shut.store(open_);
    made.watched.store(unwatched_);
    if (geometry_.joinable) {
        make_accounts();
    }
}

QueueCore::QueueCore(
    const QueueGeometry& geometry, SharedBlock control, Segment data, UniqueFd event
)
    : block_(std::move(control)),
      data_(std::move(data)),
      event_(std::move(event)),
      geometry_(geometry) {
    const Room room{.chunks = geometry.max_chunks, .large = geometry.large_bytes};
    if (!std::has_single_bit(room.chunks) || room.chunks < least_chunks ||
        room.chunks > max_chunks_ever || room.large < least_large_bytes ||
        room.large % large_alignment != 0 || room.large > data_.size() ||
        room.first_chunk() != geometry.first_chunk || room.whole() > data_.size() ||
        block_.size() < control_bytes(geometry.joinable)) {
        throw SerializationError(
            SerializationPhase::decode, "the parts of a queue do not fit each other"
        );
    }
    control_ = &block_.as<QueueControl>();
    processes_ = &block_.processes();
    memory_ = data_.data();
    learn_codes();
}

void QueueCore::learn_codes() noexcept {
    open_ = code(static_cast<std::uint32_t>(QueueShut::no));
    unwatched_ = code(static_cast<std::uint32_t>(QueueWord::unwatched));
}

// ---- putting

void QueueCore::put(std::span<const std::byte> message, Timeout timeout) {
    check_open();
    if (message.size() > longest_item()) [[unlikely]] {
        throw_does_not_fit(message.size());
    }
    if (try_put(message, lock_grace) == Attempt::done) [[likely]] {
        return;
    }
    const Deadline deadline(timeout);
    for (;;) {
        const std::uint64_t before = moved();
        if (try_put(message, deadline.remaining()) == Attempt::done) {
            return;
        }
        if (deadline.expired()) {
            check_counts();
            throw Full();
        }
        // While it pays to look, for several places: else each side waits for each item
        // of the other.
        const auto done = [&] {
            return has_places() || deadline.expired();
        };
        if (!spin(done, 16, Progress(control().get_count))) {
            control().producers.wait(
                deadline,
                [&] { return may_have_room(before); },
                Progress(),
                // Room that the death of a reader left is found by trying.
                [&] {
                    const std::uint64_t items = check_counts();
                    return geometry_.max_items == 0 || items != geometry_.max_items;
                }
            );
        }
    }
}

QueueCore::Attempt
QueueCore::try_put(std::span<const std::byte> message, Timeout timeout) {
    QueueControl& shared = control();
    if (!lock(shared.put_lock, put_holder_, lock_timeout(timeout), &shared.put_count)) {
        return Attempt::busy;
    }
    HeldQueueLock held(shared.put_lock, put_holder_, processes().self());
    MP_FAILPOINT("put: locked");
    if (!is_open()) [[unlikely]] {
        throw_not_open();
    }
    // order: relaxed, only the holder of the lock changes it.
    const std::uint64_t number = shared.put_count.load(std::memory_order_relaxed);
    note_use();
    check_forward(number, last_put_);
    if (geometry_.max_items != 0 && is_full(number)) {
        return Attempt::in_vain;
    }
    PutEnd end = checked_put_end();
    const std::uint64_t head_before = end.large_head;
    if (!place(end, number, message)) {
        return Attempt::in_vain;
    }
    MP_FAILPOINT("put: written");
    // Before the commit: a producer that dies after it has rung. See calm_if_empty().
    if (is_watched()) [[unlikely]] {
        check_watched();
        event_.ring();
    }
    write_put_end(shared.put_turn_number() + 1, end);
    // order: release, pairs with the fence in check_counts(): who sees it sees the
    // commit before this one.
    shared.put_seals[(number + 1) % 2].store(
        seal::of(geometry_.key, number + 1), std::memory_order_release
    );
    MP_FAILPOINT("put: before the commit");
    check_owned(shared.put_lock, held.holder());
    // order: release, pairs with get: a consumer that sees the count sees the item.
    shared.put_count.store(number + 1, std::memory_order_release);
    // order: release, pairs with check_counts(), which then sees that count or more.
    last_put_.store(number + 1, std::memory_order_release);
    MP_FAILPOINT("put: committed");
    if (end.large_touched > kept_large_bytes) [[unlikely]] {
        check_rest(end);
        // The area may have begun anew at its front, far from where it ended.
        punch_large(end, kept_large_bytes);
        punch_behind(end, head_before);
    }
    held.release();
    MP_FAILPOINT("put: released");
    shared.consumers.wake_one();
    return Attempt::done;
}

// ---- getting

void QueueCore::get(QueueItem& item, Timeout timeout) {
    check_open();
    if (try_get(item, lock_grace) == Attempt::done) [[likely]] {
        return;
    }
    const Deadline deadline(timeout);
    if (is_worth_a_trim()) [[unlikely]] {
        trim();  // for a consumer that was killed before its own
    }
    for (;;) {
        control().consumers.wait(
            deadline,
            [&] { return has_items() || !is_open(); },
            Progress(control().put_count),
            [&] {
                check_counts();
                return false;
            }
        );
        if (try_get(item, deadline.remaining()) == Attempt::done) {
            return;
        }
        if (deadline.expired()) {
            check_counts();
            throw Empty();
        }
    }
}

QueueCore::Attempt QueueCore::try_get(QueueItem& item, Timeout timeout) {
    QueueControl& shared = control();
    if (!has_items()) {
        if (!is_open()) {
            throw_not_open();
        }
        if (is_watched()) [[unlikely]] {
            calm_if_empty();
        }
        return Attempt::in_vain;
    }
    if (!lock(shared.get_lock, get_holder_, lock_timeout(timeout), &shared.get_count)) {
        return Attempt::busy;
    }
    HeldQueueLock held(shared.get_lock, get_holder_, processes().self());
    MP_FAILPOINT("get: locked");
    if (!has_items()) {
        return Attempt::in_vain;
    }
    // order: relaxed, only the holder of the lock changes it.
    const std::uint64_t number = shared.get_count.load(std::memory_order_relaxed);
    note_use();
    check_forward(number, last_taken_);
    take(number, item);
    MP_FAILPOINT("get: before the commit");
    check_owned(shared.get_lock, held.holder());
    // order: release, pairs with put: the room may be used again.
    shared.get_count.store(number + 1, std::memory_order_release);
    // order: release, pairs with check_counts(), which then sees that count or more.
    last_taken_.store(number + 1, std::memory_order_release);
    MP_FAILPOINT("get: committed");
    held.release();
    MP_FAILPOINT("get: released");
    shared.producers.wake_one();
    if (is_watched()) [[unlikely]] {
        calm_if_empty();
    }
    if (is_worth_a_trim()) [[unlikely]] {
        trim();
    }
    return Attempt::done;
}

// ---- looking

std::size_t QueueCore::size() const {
    // order: relaxed, as in note_use().
    if (used_.load(std::memory_order_relaxed)) {
        check_open();
    }
    check_undamaged();
    return shut_state() == QueueShut::to_all ? 0 : check_counts();
}

bool QueueCore::full() const {
    const std::uint64_t max_items = geometry_.max_items;
    return max_items != 0 && size() >= max_items;
}

/// Whether more were put than taken; has_items() has seen that many taken.
bool QueueCore::sees_more_than(std::uint64_t taken) const noexcept {
    // order: acquire, pairs with put's commit, so that the items are seen.
    const std::uint64_t put = control().put_count.load(std::memory_order_acquire);
    if (put <= taken) {
        return false;
    }
    // order: release, pairs with the load in has_items(): passes on what the acquire
    // saw.
    seen_put_.store(put, std::memory_order_release);
    return true;
}

/// For the holder of put_lock, about to put item `number`.
bool QueueCore::is_full(std::uint64_t number) const {
    const QueueControl& shared = control();
    // order: acquire, pairs with the store below, and with get's commit through the
    // thread that stored what it saw: room that a consumer left may be written to.
    if (number - seen_taken_.load(std::memory_order_acquire) < geometry_.max_items) {
        return false;
    }
    // order: acquire, pairs with get's commit, for the same reason.
    const std::uint64_t taken = shared.get_count.load(std::memory_order_acquire);
    if (number - taken > geometry_.max_items) [[unlikely]] {
        throw_damaged("its counts");
    }
    // order: release, pairs with the load above: passes on what the acquire saw.
    seen_taken_.store(taken, std::memory_order_release);
    return number - taken >= geometry_.max_items;
}

/// Grows whenever room may have come free.
std::uint64_t QueueCore::moved() const noexcept {
    return control().get_count.load() + control().large_read.load();
}

bool QueueCore::may_have_room(std::uint64_t before) const noexcept {
    const QueueControl& shared = control();
    if (!is_open()) {
        return true;
    }
    if (geometry_.max_items != 0) {
        const std::uint64_t taken = shared.get_count.load();
        return shared.put_count.load() - taken < geometry_.max_items;
    }
    return moved() != before;
}

bool QueueCore::has_places() const noexcept {
    const QueueControl& shared = control();
    // order: relaxed, only whether to go on spinning: try_put() decides.
    const std::uint64_t taken = shared.get_count.load(std::memory_order_relaxed);
    // order: relaxed, the same.
    const std::uint64_t put = shared.put_count.load(std::memory_order_relaxed);
    const std::uint64_t max_items = geometry_.max_items;
    return !is_open() ||
           (max_items != 0 && put - taken <= max_items - (max_items + 7) / 8);
}

void QueueCore::check_open() const {
    if (closed()) {
        throw std::invalid_argument("the queue is closed");
    }
}

void QueueCore::throw_does_not_fit(std::size_t size) const {
    throw std::invalid_argument(
        "an item of " + std::to_string(size) + " bytes does not fit a queue " +
        (geometry_.shrunk
             ? "for which limits of this process left room for items of " +
                   std::to_string(longest_item()) + ": " + os::address_limits()
             : "whose max_bytes allows for " + std::to_string(longest_item()))
    );
}

// ---- ending

void QueueCore::shutdown(bool immediate) {
    check_open();
    QueueControl& shared = control();
    const QueueShut wanted = immediate ? QueueShut::to_all : QueueShut::to_producers;
    for (QueueShut state = shut_state(); state < wanted; state = shut_state()) {
        std::uint32_t seen = code(static_cast<std::uint32_t>(state));
        if (shared.shut.compare_exchange_strong(
                seen, code(static_cast<std::uint32_t>(wanted))
            )) {
            break;
        }
    }
    shared.producers.wake_all();
    shared.consumers.wake_all();
    if (geometry_.joinable) {
        shared.joiners.wake_all();
    }
    if (is_watched()) {
        event_.ring();
    }
}

}  // namespace mp::detail
