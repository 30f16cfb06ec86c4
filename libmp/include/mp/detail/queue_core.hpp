// SPDX-License-Identifier: BSL-1.0
// QueueCore: a queue of messages in shared memory, below Queue, SimpleQueue and
// JoinableQueue. See docs/protocols/queue.md.
// Python:  the pipe, semaphore and feeder thread inside multiprocessing.Queue.
// Threads: any.  Processes: all that have it; any of them may be killed at any time.
// Owns:    its memory and an eventfd, which go with the last process that has it.
#pragma once

#include "mp/detail/event_fd.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/detail/shm.hpp"
#include "mp/fd.hpp"
#include "mp/timeout.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace mp::detail {

class OwnerLock;
class ProcessTable;
class QueueCore;
enum class QueueShut : std::uint32_t;
struct GetPlace;
struct LargeBlock;
struct LargeHeader;
struct PutEnd;
struct QueueControl;

/// One message that was taken: its bytes, until this goes.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): small_ is raw room
class QueueItem {
public:
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as above
    QueueItem() noexcept = default;
    QueueItem(const QueueItem&) = delete;
    QueueItem& operator=(const QueueItem&) = delete;

    ~QueueItem() {
        if (large_ != nullptr) {
            close_large();
        }
    }

    std::span<const std::byte> bytes() const noexcept { return bytes_; }

    /// After the bytes were used. Throws DamagedError when another process may have
    /// written over them meanwhile, because this one does not stand as their reader.
    void check_kept() const;

private:
    friend class QueueCore;

    std::span<std::byte> room(std::size_t size) {
        std::byte* const place =
            size <= small_.size() ? small_.data() : heap_room(size);
        bytes_ = {place, size};
        return {place, size};
    }

    std::byte* heap_room(std::size_t size);
    void close_large() noexcept;

    std::array<std::byte, 512> small_;
    std::unique_ptr<std::byte[]> heap_;
    std::span<const std::byte> bytes_;
    QueueCore* core_ = nullptr;  ///< of a large item, which stands in shared memory
    LargeHeader* large_ = nullptr;
    // Of a large item.
    std::uint64_t number_;
    std::uint64_t word_;  ///< that says that this process reads it
};

struct QueueLimits {
    std::uint64_t max_items = 0;   ///< 0: no bound
    std::uint64_t max_bytes = 0;   ///< 0: half of the machine's memory
    std::uint64_t item_bytes = 0;  ///< no item is longer; 0: not known
    std::uint64_t trim_threshold = 0;
    bool joinable = false;
    std::uint64_t type_tag = 0;
};

/// What the maker of a queue decided. Each process that has the queue keeps it in
/// memory of its own; nothing of it stands where another process could change it.
struct QueueGeometry {
    std::uint64_t key = 0;             ///< goes into all seals
    std::uint64_t max_items = 0;       ///< 0: no bound
    std::uint64_t max_chunks = 0;      ///< a power of two
    std::uint64_t first_chunk = 0;     ///< where it stands in the segment
    std::uint64_t large_bytes = 0;     ///< size of the area for large items
    std::uint64_t trim_threshold = 0;  ///< free bytes that an empty queue keeps
    std::uint64_t type_tag = 0;
    bool shrunk = false;  ///< limits left less room than was asked for
    bool joinable = false;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& key& max_items& max_chunks& first_chunk& large_bytes& trim_threshold;
        archive& type_tag& shrunk& joinable;
    }
};

class QueueCore {
public:
    /// Throws ResourceLimitExceeded, std::system_error.
    explicit QueueCore(const QueueLimits& limits);

    /// What another process made, as it arrived here. Throws SerializationError when
    /// the parts do not fit each other.
    QueueCore(
        const QueueGeometry& geometry, SharedBlock control, Segment data, UniqueFd event
    );

    QueueCore(const QueueCore&) = delete;
    QueueCore& operator=(const QueueCore&) = delete;
    ~QueueCore() = default;

    // All that look at the memory of the queue throw DamagedError when another process
    // has written over it; from then on all of them do, in all processes.

    /// Throws Full, ShutDown; std::invalid_argument when closed here or when the
    /// message could never fit; ResourceLimitExceeded.
    void put(std::span<const std::byte> message, Timeout timeout);

    /// Throws Empty, ShutDown; std::invalid_argument when closed here.
    void get(QueueItem& item, Timeout timeout);

    /// Throws std::invalid_argument when closed here after it was used here.
    std::size_t size() const;
    bool full() const;

    /// Only here.
    void close() noexcept { closed_.store(true); }

    bool closed() const noexcept { return closed_.load(); }

    void shutdown(bool immediate);

    /// Readable when there is something to get, or by mistake.
    int fileno();

    std::uint64_t type_tag() const noexcept { return geometry_.type_tag; }

    // -- for JoinableQueue

    /// Throws std::invalid_argument when nothing is unfinished.
    void task_done();

    /// Returns false at the deadline. Throws OwnerDied once for a consumer's death.
    bool join(const Deadline& deadline);

    // -- to a child

    const QueueGeometry& geometry() const noexcept { return geometry_; }

    const SharedBlock& control_block() const noexcept { return block_; }

    int data_fileno() const noexcept { return data_.fileno(); }

    int event_fileno() const noexcept { return event_.fileno(); }

private:
    friend class QueueItem;

    enum class Attempt : std::uint8_t {
        done,
        in_vain,  ///< no item, no room
        busy,     ///< another thread held the lock all the time
    };

    QueueControl& control() const noexcept { return *control_; }

    ProcessTable& processes() const noexcept { return *processes_; }

    // queue_core.cpp, and the public members that are not named below
    void check_open() const;
    void learn_codes() noexcept;

    void note_use() noexcept {
        // order: relaxed, a hint for this process alone, which carries nothing.
        // A load first: the line stays shared.
        if (!used_.load(std::memory_order_relaxed)) {
            // order: relaxed, as above.
            used_.store(true, std::memory_order_relaxed);
        }
    }

    std::uint64_t longest_item() const noexcept;
    [[noreturn]] void throw_does_not_fit(std::size_t size) const;
    Attempt try_put(std::span<const std::byte> message, Timeout timeout);
    Attempt try_get(QueueItem& item, Timeout timeout);
    bool is_open() const noexcept;
    bool has_items() const noexcept;
    bool sees_more_than(std::uint64_t taken) const noexcept;
    bool is_full(std::uint64_t number) const;
    bool has_places() const noexcept;
    bool may_have_room(std::uint64_t before) const noexcept;
    std::uint64_t moved() const noexcept;

    // queue_damage.cpp
    /// Tells all processes, also those that wait.
    void mark_damaged() const noexcept;
    [[noreturn]] void throw_damaged(const char* what) const;
    /// Throws ShutDown or DamagedError. Requires: the queue was found not to be open.
    [[noreturn]] void throw_not_open() const;
    bool is_damaged() const noexcept;
    void check_undamaged() const;
    std::uint32_t code(std::uint32_t word) const noexcept;
    QueueShut shut_state() const noexcept;
    bool is_watched() const noexcept;
    void check_watched() const;
    std::uint64_t most_items() const noexcept;
    std::uint64_t check_counts() const;
    void
    check_forward(std::uint64_t count, const std::atomic<std::uint64_t>& last) const;
    PutEnd checked_put_end() const;
    void write_put_end(std::uint64_t turn, const PutEnd& end) const noexcept;
    void check_rest(const PutEnd& end) const;
    void seal_rest(PutEnd& end) const noexcept;
    GetPlace checked_get_end(std::uint64_t count) const;
    void check_owned(const OwnerLock& lock, std::uint32_t holder) const;
    bool lock(
        OwnerLock& lock,
        const std::atomic<std::uint32_t>& holder,
        Timeout timeout,
        const std::atomic<std::uint64_t>* done
    ) const;
    bool lock_slowly(
        OwnerLock& lock,
        const std::atomic<std::uint32_t>& holder,
        Timeout timeout,
        const std::atomic<std::uint64_t>* done
    ) const;

    // queue_trim.cpp
    bool is_worth_a_trim() const noexcept;
    void trim() noexcept;
    bool trim_step();
    void count_trim(PutEnd& end) const;
    void punch_chunks(PutEnd& end);
    bool punch_large(PutEnd& end, std::uint64_t kept) noexcept;
    void punch_behind(const PutEnd& end, std::uint64_t head_before) noexcept;
    void note_touched(const PutEnd& end) const noexcept;

    // queue_polling.cpp, and fileno()
    void calm_if_empty() const noexcept;

    // queue_ring.cpp
    std::uint64_t& chunk_entry(std::uint64_t number) const noexcept;
    std::uint64_t& retired_entry(std::uint64_t index) const noexcept;
    std::uint32_t chunk_in_order(std::uint64_t number) const;
    std::uint32_t retired_chunk(std::uint64_t index) const;
    void retire_chunk(PutEnd& end, std::uint32_t id) const noexcept;
    std::size_t offset_of_chunk(std::uint32_t id) const noexcept;
    std::uint64_t first_chunk_in_use(const PutEnd& end) const;
    bool next_chunk(PutEnd& end);
    std::byte* find_room(PutEnd& end, std::uint64_t number, std::size_t size);
    bool place(PutEnd& end, std::uint64_t number, std::span<const std::byte> message);
    void take(std::uint64_t number, QueueItem& item);

    // queue_large.cpp
    std::byte& large_area() const noexcept;
    LargeHeader& large_at(std::uint64_t offset) const noexcept;
    LargeBlock checked_block(std::uint64_t offset) const;
    bool is_done_with(const LargeBlock& block, const LargeHeader& where) const;
    void reclaim(PutEnd& end) const;
    void reclaim_for_good(PutEnd& end) const;
    LargeHeader* find_large_room(PutEnd& end, std::uint64_t room);
    LargeHeader*
    place_large(PutEnd& end, std::uint64_t number, std::span<const std::byte> message);
    void open_large(
        std::uint64_t number, std::span<const std::byte> reference, QueueItem& item
    );
    void
    close_large(LargeHeader& block, std::uint64_t number, std::uint64_t mine) noexcept;

    // queue_join.cpp, and task_done(), join()
    std::uint64_t closed_word(std::uint64_t value) const noexcept;
    std::uint64_t opened_word(std::uint64_t word) const noexcept;
    void make_accounts() noexcept;
    std::uint32_t accounts_used() const;
    bool is_possible(std::uint64_t account) const noexcept;
    std::uint64_t account(std::uint32_t index) const;
    std::int64_t unfinished() const;
    bool is_all_done() const;
    void count_death() const;
    std::uint64_t deaths() const;
    void add_to_account(std::int32_t items);
    void forget_dead();

    SharedBlock block_;
    Segment data_;
    EventFd event_;
    QueueControl* control_ = nullptr;
    ProcessTable* processes_ = nullptr;
    std::byte* memory_ = nullptr;  ///< of data_
    QueueGeometry geometry_;
    std::uint32_t open_ = 0;       ///< what `shut` says at first
    std::uint32_t unwatched_ = 0;  ///< what `watched` says at first
    std::atomic<bool> closed_{false};
    mutable std::atomic<bool> damaged_{false};  ///< this process has seen it
    std::atomic<bool> used_{false};             ///< something was put or got here
    // Counts as last seen: they only grow. While these suffice, no thread touches the
    // line that the other side is writing. And what the counts were after this process
    // changed them last: a count below is none. First what producers write, then, on
    // another line, what consumers write.
    alignas(64) mutable std::atomic<std::uint64_t> seen_taken_{0};
    std::atomic<std::uint64_t> last_put_{0};
    // And the id of this process while a thread of it holds put_lock, get_lock,
    // done_lock.
    mutable std::atomic<std::uint32_t> put_holder_{0};
    alignas(64) mutable std::atomic<std::uint64_t> seen_put_{0};
    std::atomic<std::uint64_t> last_taken_{0};
    std::atomic<std::uint32_t> get_holder_{0};
    std::atomic<std::uint32_t> done_holder_{0};
};

/// A handle travels to a child that is being started, or in a call for one, and nowhere
/// else; one child has one core for a queue, however many handles come.
class QueueTicket {
public:
    /// Throws StateError, naming `what`, unless it can travel now.
    static QueueTicket of(const std::shared_ptr<QueueCore>& core, const char* what);

    std::shared_ptr<QueueCore> open() const;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& geometry_& block_& data_& event_;
    }

private:
    QueueGeometry geometry_;
    SharedBlock block_;
    std::uint32_t data_ = 0;
    std::uint32_t event_ = 0;
};

}  // namespace mp::detail
