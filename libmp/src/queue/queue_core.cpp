// SPDX-License-Identifier: BSL-1.0
// Putting and getting: who waits for what, and when an item counts.
#include "mp/detail/queue_core.hpp"

#include "mp/errors.hpp"

#include "memory/process_table.hpp"
#include "os/check.hpp"
#include "os/failpoint.hpp"
#include "queue/queue_layout.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <new>
#include <stdexcept>
#include <string>

namespace mp::detail {
namespace {

using namespace std::chrono_literals;

// Whoever holds a lock here holds it for the copy of one item. Who does not want to
// wait for an item still waits so long for the lock.
constexpr Timeout lock_grace(20ms);

constexpr std::uint64_t max_chunks_ever = 1UL << 20U;

std::uint64_t half_of_memory() {
    const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 2;
}

std::uint64_t chunks_for(std::uint64_t bytes) {
    return std::bit_ceil(std::clamp<std::uint64_t>(
        (bytes + chunk_bytes - 1) / chunk_bytes, 4, max_chunks_ever
    ));
}

Timeout at_least_lock_grace(Timeout timeout) {
    return timeout.duration() < lock_grace.duration() ? lock_grace : timeout;
}

/// Releases a lock at the end of a scope, or earlier.
class Holding {
public:
    explicit Holding(OwnerLock& lock) noexcept : lock_(&lock) {}

    Holding(const Holding&) = delete;
    Holding& operator=(const Holding&) = delete;

    ~Holding() { release(); }

    void release() noexcept {
        if (lock_ != nullptr) {
            std::exchange(lock_, nullptr)->release();
        }
    }

private:
    OwnerLock* lock_;
};

}  // namespace

QueueItem::~QueueItem() {
    if (large_ != nullptr) {
        core_->close_large(*large_);
    }
}

std::span<std::byte> QueueItem::room(std::size_t size) {
    std::byte* place = small_.data();
    if (size > small_.size()) {
        heap_ = std::make_unique_for_overwrite<std::byte[]>(size);
        place = heap_.get();
    }
    bytes_ = {place, size};
    return {place, size};
}

QueueCore::QueueCore(const QueueLimits& limits) : joinable_(limits.joinable) {
    const std::uint64_t bytes =
        limits.max_bytes != 0 ? limits.max_bytes : half_of_memory();
    const std::uint64_t chunks = chunks_for(bytes);
    const std::uint64_t large =
        std::max<std::uint64_t>(bytes, 1U << 20U) & ~std::uint64_t{large_alignment - 1};
    const std::size_t tables = 3 * chunks * sizeof(std::uint32_t);
    const std::size_t first_chunk = (tables + 4095) & ~std::size_t{4095};
    data_ = Segment("mp-queue", first_chunk + chunks * chunk_bytes + large);
    event_.reset(os::check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
    block_ = SharedBlock::allocate(
        limits.joinable ? sizeof(QueueControl) : offsetof(QueueControl, done_lock), 64
    );
    control_ = &block_.as<QueueControl>();
    processes_ = &block_.processes();
    QueueControl& made = control();
    made.max_items = limits.max_items;
    made.max_chunks = chunks;
    made.first_chunk = first_chunk;
    made.large_bytes = large;
    made.type_tag = limits.type_tag;
    made.joinable = limits.joinable ? 1 : 0;
    made.put_ends[0].fresh = 1;
}

QueueCore::QueueCore(SharedBlock control, Segment data, UniqueFd event) noexcept
    : block_(std::move(control)),
      data_(std::move(data)),
      event_(std::move(event)),
      control_(&block_.as<QueueControl>()),
      processes_(&block_.processes()),
      joinable_(this->control().joinable != 0) {}

std::uint64_t QueueCore::type_tag() const noexcept {
    return control().type_tag;
}

// ---- putting

void QueueCore::put(std::span<const std::byte> message, Timeout timeout) {
    check_open();
    check_fits(message.size());
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
            throw Full();
        }
        // While it pays to look, for several places: else each side waits for each item
        // of the other.
        const auto done = [&] {
            return has_places() || deadline.expired();
        };
        if (!spin(done, 16, Progress(control().get_count))) {
            control().producers.wait(deadline, [&] { return may_have_room(before); });
        }
    }
}

QueueCore::Attempt
QueueCore::try_put(std::span<const std::byte> message, Timeout timeout) {
    QueueControl& shared = control();
    if (shared.put_lock.acquire(
            processes(),
            at_least_lock_grace(timeout),
            DeadOwner::take,
            &shared.put_count
        ) == Taken::no) {
        return Attempt::busy;
    }
    Holding held(shared.put_lock);
    MP_FAILPOINT("put: locked");
    if (is_shut()) {
        throw ShutDown();
    }
    // order: only the holder of the lock changes it.
    const std::uint64_t number = shared.put_count.load(std::memory_order_relaxed);
    note_use();
    if (shared.max_items != 0 && is_full(number)) {
        return Attempt::in_vain;
    }
    PutEnd end = shared.put_ends[number % 2];
    if (!place(end, number, message)) {
        return Attempt::in_vain;
    }
    MP_FAILPOINT("put: written");
    // Before the commit: whoever dies after it has rung. See calm_if_empty().
    ring_if_watched();
    shared.put_ends[(number + 1) % 2] = end;
    MP_FAILPOINT("put: before the commit");
    // order: release, pairs with get: who sees the count sees the item.
    shared.put_count.store(number + 1, std::memory_order_release);
    MP_FAILPOINT("put: committed");
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
    for (;;) {
        control().consumers.wait(
            deadline,
            [&] { return has_items() || is_shut(); },
            Progress(control().put_count)
        );
        if (try_get(item, deadline.remaining()) == Attempt::done) {
            return;
        }
        if (deadline.expired()) {
            throw Empty();
        }
    }
}

QueueCore::Attempt QueueCore::try_get(QueueItem& item, Timeout timeout) {
    QueueControl& shared = control();
    if (!has_items()) {
        if (is_shut()) {
            throw ShutDown();
        }
        calm_if_empty();
        return Attempt::in_vain;
    }
    if (shared.get_lock.acquire(
            processes(),
            at_least_lock_grace(timeout),
            DeadOwner::take,
            &shared.get_count
        ) == Taken::no) {
        return Attempt::busy;
    }
    Holding held(shared.get_lock);
    MP_FAILPOINT("get: locked");
    if (!has_items()) {
        return Attempt::in_vain;
    }
    // order: only the holder of the lock changes it.
    const std::uint64_t number = shared.get_count.load(std::memory_order_relaxed);
    note_use();
    take(number, item);
    MP_FAILPOINT("get: before the commit");
    // order: release, pairs with put: the room may be used again.
    shared.get_count.store(number + 1, std::memory_order_release);
    MP_FAILPOINT("get: committed");
    held.release();
    MP_FAILPOINT("get: released");
    shared.producers.wake_one();
    calm_if_empty();
    return Attempt::done;
}

// ---- looking

std::size_t QueueCore::size() const {
    if (used_.load(std::memory_order_relaxed)) {
        check_open();
    }
    const QueueControl& shared = control();
    if (shared.shut.load() == QueueShut::to_all) {
        return 0;
    }
    // This order: the first count never passes the second.
    const std::uint64_t taken = shared.get_count.load();
    return shared.put_count.load() - taken;
}

bool QueueCore::full() const {
    const std::uint64_t most = control().max_items;
    return most != 0 && size() >= most;
}

bool QueueCore::is_shut() const noexcept {
    // order: a producer or consumer that misses it is one that came before.
    return control().shut.load(std::memory_order_relaxed) != QueueShut::no;
}

bool QueueCore::has_items() const noexcept {
    const QueueControl& shared = control();
    const std::uint64_t taken = shared.get_count.load(std::memory_order_relaxed);
    // order: acquire, pairs with put's commit, also for who stored what he saw.
    if (seen_put_.load(std::memory_order_acquire) <= taken) {
        const std::uint64_t put = shared.put_count.load(std::memory_order_acquire);
        if (put <= taken) {
            return false;
        }
        seen_put_.store(put, std::memory_order_release);
    }
    return shared.shut.load(std::memory_order_relaxed) != QueueShut::to_all;
}

/// For the holder of put_lock, about to put item `number`.
bool QueueCore::is_full(std::uint64_t number) const noexcept {
    const QueueControl& shared = control();
    // order: acquire, because room that a consumer left may be written to.
    if (number - seen_taken_.load(std::memory_order_acquire) < shared.max_items) {
        return false;
    }
    const std::uint64_t taken = shared.get_count.load(std::memory_order_acquire);
    seen_taken_.store(taken, std::memory_order_release);
    return number - taken >= shared.max_items;
}

/// Grows whenever room may have come free.
std::uint64_t QueueCore::moved() const noexcept {
    return control().get_count.load() + control().large_read.load();
}

bool QueueCore::may_have_room(std::uint64_t before) const noexcept {
    const QueueControl& shared = control();
    if (is_shut()) {
        return true;
    }
    if (shared.max_items != 0) {
        const std::uint64_t taken = shared.get_count.load();
        return shared.put_count.load() - taken < shared.max_items;
    }
    return moved() != before;
}

bool QueueCore::has_places() const noexcept {
    const QueueControl& shared = control();
    const std::uint64_t taken = shared.get_count.load(std::memory_order_relaxed);
    const std::uint64_t put = shared.put_count.load(std::memory_order_relaxed);
    return is_shut() || (shared.max_items != 0 &&
                         put - taken <= shared.max_items - (shared.max_items + 7) / 8);
}

void QueueCore::check_open() const {
    if (closed()) {
        throw std::invalid_argument("the queue is closed");
    }
}

void QueueCore::check_fits(std::size_t size) const {
    const std::uint64_t most = control().large_bytes - sizeof(LargeHeader);
    if (size > most) {
        throw std::invalid_argument(
            "an item of " + std::to_string(size) +
            " bytes does not fit a queue whose max_bytes allows for " +
            std::to_string(most)
        );
    }
}

// ---- ending

void QueueCore::shutdown(bool immediate) {
    check_open();
    QueueControl& shared = control();
    if (immediate) {
        shared.shut.store(QueueShut::to_all);
    } else {
        QueueShut open = QueueShut::no;
        shared.shut.compare_exchange_strong(open, QueueShut::to_producers);
    }
    shared.producers.wake_all();
    shared.consumers.wake_all();
    if (joinable_) {
        shared.joiners.wake_all();
    }
    ring_if_watched();
}

// ---- for poll()

int QueueCore::fileno() {
    check_open();
    if (control().watched.load() == 0) {
        // First the ring: who puts meanwhile does not know yet that it is watched.
        ring();
        control().watched.store(1);
        calm_if_empty();
    }
    return event_.get();
}

void QueueCore::ring() const noexcept {
    ::eventfd_write(event_.get(), 1);  // EAGAIN: it is readable already
}

void QueueCore::ring_if_watched() const noexcept {
    // order: relaxed. For a producer, put_lock orders it: see calm_if_empty().
    if (control().watched.load(std::memory_order_relaxed) != 0) [[unlikely]] {
        ring();
    }
}

/// Makes the descriptor unreadable, with put_lock: so nobody is between the ring and
/// the commit, and an item that counts never stands behind a descriptor that was reset,
/// whoever dies when. Readable for nothing is allowed: who does not get the lock in a
/// moment leaves it so, and a loop around poll() goes round once in that time.
void QueueCore::calm_if_empty() const noexcept {
    QueueControl& shared = control();
    // order: relaxed. Whoever sees that it is watched passes it on with put_lock.
    if (shared.watched.load(std::memory_order_relaxed) == 0) [[likely]] {
        return;
    }
    if (has_items() || shared.put_lock.acquire(processes(), lock_grace) == Taken::no) {
        return;
    }
    const Holding held(shared.put_lock);
    MP_FAILPOINT("get: before the calm");
    if (has_items() || is_shut()) {
        return;
    }
    eventfd_t count = 0;
    ::eventfd_read(event_.get(), &count);
    // order: seq_cst, as the store in shutdown(), which is before its ring: either that
    // comes after our reset, or we see here that the queue is shut.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (is_shut()) {
        ring();
    }
}

}  // namespace mp::detail
