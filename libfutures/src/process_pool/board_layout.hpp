// SPDX-License-Identifier: BSL-1.0
// The board in shared memory: what the parent and its workers both see.
// docs/protocols/board.md has the tables: who changes which word when, and what is left
// if that process is killed there.
#pragma once

#include "mp/detail/futex.hpp"

#include "process_pool/items.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace futures::detail {

inline constexpr std::size_t cache_line = 64;

/// As many as the bits of a WorkerSet.
inline constexpr std::uint32_t max_workers = 512;

// ---- the word of a slot: position:48 | kind:4 | worker:12

enum class SlotKind : std::uint8_t {
    free,
    ready,      ///< to be claimed by a worker, or cancelled by the parent
    claimed,    ///< a worker has it; none of the program's code has run
    cancelled,  ///< taken back by the parent
    running,    ///< the program's code may have run, decoding included
};

using SlotWord = std::uint64_t;

constexpr SlotWord
slot_word(std::uint64_t position, SlotKind kind, std::uint32_t worker = 0) noexcept {
    return position << 16U | static_cast<SlotWord>(kind) << 12U | worker;
}

constexpr std::uint64_t position_of(SlotWord word) noexcept {
    return word >> 16U;
}

constexpr SlotKind kind_of(SlotWord word) noexcept {
    return static_cast<SlotKind>(word >> 12U & 15U);
}

constexpr std::uint32_t worker_of(SlotWord word) noexcept {
    return static_cast<std::uint32_t>(word & 4095U);
}

struct alignas(cache_line) Slot {
    std::atomic<SlotWord> word;
    CallItem item;
};

static_assert(sizeof(Slot) == 256);

/// A bit for each worker. Kept apart from a queue's Sleepers and a condition's waiter
/// slots, which look alike: here a bit belongs to one worker for good, is set by that
/// worker alone, and the parent repairs the set when it recovers a dead worker; there
/// any process may take a place, and nobody recovers it.
class alignas(cache_line) WorkerSet {
public:
    using Word = std::uint64_t;
    static constexpr std::size_t words = max_workers / 64;

    std::atomic<Word>& word_of(std::uint32_t worker) noexcept {
        return words_[worker / 64];
    }

    static constexpr Word bit_of(std::uint32_t worker) noexcept {
        return Word{1} << (worker % 64);
    }

    std::atomic<Word>& word(std::size_t index) noexcept { return words_[index]; }

private:
    std::array<std::atomic<Word>, words> words_;
};

/// The native stack of a crash.
struct CrashStack {
    static constexpr std::size_t max_frames = 32;
    static constexpr std::size_t max_modules = 8;
    static constexpr std::size_t max_path = 1024;

    struct Frame {
        std::uint64_t address;
        std::uint64_t offset;  ///< in the module
        std::uint32_t module;  ///< max_modules: none, or none that has room
        std::uint32_t exact;   ///< 0: where a call returns to, just behind it
    };

    /// A file that has code of these frames: the program, or a library.
    struct Module {
        std::uint64_t base;
        std::uint32_t is_program;
        std::uint32_t build_id_size;
        std::array<char, 32> build_id;
        std::array<char, max_path> path;
    };

    std::uint32_t frames;
    std::uint32_t modules;
    std::array<Frame, max_frames> frame;
    std::array<Module, max_modules> module;
};

/// Why a program ended itself, written before it raised its signal.
struct CrashMessage {
    static constexpr std::size_t max_type = 256;
    static constexpr std::size_t max_text = 1024;

    enum class Kind : std::uint32_t {
        none,
        exception,  ///< std::terminate() while one was thrown
        terminate,  ///< std::terminate() without one
        abort,      ///< the C library's message, of assert() for example
    };

    Kind kind;
    std::array<char, max_type> type;  ///< of the exception; as the text
    std::array<char, max_text> text;  ///< ends with a 0, or is full
};

/// What a worker that crashes leaves, written by its signal handler.
struct CrashRecord : CrashStack {
    std::atomic<std::uint32_t> signal;  ///< 0: no crash
    std::int32_t code;                  ///< si_code
    std::uint32_t stack_overflow;
    std::uint64_t address;
    CrashMessage message;
};

enum class WorkerPhase : std::uint32_t {
    starting,
    initialising,
    initializer_failed,  ///< the cause stands in its result ring
    working,
    retired,  ///< did as many tasks as it may, and ends
    damaged,  ///< found a call that nobody wrote, and ends
};

/// How far a worker is that ends in order.
enum class LastStep : std::uint32_t {
    none,
    running,  ///< the finalizer, then what destroys the worker's local objects
    done,
    failed,  ///< done, but the finalizer threw: its text stands beside this
};

/// A worker is to end once its task is done: the parent told it so, and may take that
/// back until the worker has heard of it.
inline constexpr std::uint32_t retire_told = 1;
inline constexpr std::uint32_t retire_heard = 2;

struct alignas(cache_line) WorkerControl {
    static constexpr std::size_t max_text = 240;

    alignas(cache_line) mp::detail::FutexWord park;  ///< 0: asleep, or about to be
    alignas(cache_line) std::atomic<std::uint64_t> results_written;
    /// The worker: what that will be once the task's arguments are destroyed.
    std::atomic<std::uint64_t> results_ready;
    alignas(cache_line) std::atomic<WorkerPhase> phase;
    /// When the worker's last task began, in nanoseconds of CLOCK_MONOTONIC; 0: none.
    std::atomic<std::uint64_t> task_begun;
    std::atomic<LastStep> last_step;
    std::atomic<std::uint32_t> retire;     ///< retire_told, _heard, or 0
    std::atomic<std::uint32_t> idled;      ///< worker: it had nothing to do for long
    std::atomic<std::uint32_t> has_link;   ///< worker: its LinkMemory is in use
    std::array<char, max_text> last_text;  ///< ends with a 0, if its worker is honest
    /// The worker: the limited task that it began last (its position + 1), and when, in
    /// nanoseconds of the monotonic clock.
    alignas(cache_line) std::atomic<std::uint64_t> limited_task;
    std::atomic<std::int64_t> limited_since;
    /// The parent: the task that is to stop (its position + 1), and how often there was
    /// one; threads of the worker sleep on that.
    alignas(cache_line) std::atomic<std::uint64_t> stopped_task;
    mp::detail::FutexWord stops;
    alignas(cache_line) CrashRecord crash;
};

/// A ring of bytes from one process to another: frame_ring.hpp has both sides of it.
struct FrameRing {
    static constexpr std::size_t capacity = std::size_t{16} << 10U;

    alignas(cache_line) std::atomic<std::uint64_t> written;  ///< writer: bytes so far
    alignas(cache_line) std::atomic<std::uint64_t> read;     ///< reader: the same
    mp::detail::FutexWord room_wanted;  ///< 1: the writer waits for room
    alignas(cache_line) std::array<std::byte, capacity> bytes;

    void reset() noexcept {
        written.store(0);
        read.store(0);
        room_wanted.store(0);
    }
};

/// Which thread of a worker is to be woken for what comes over its link.
enum class LinkSleeper : std::uint32_t {
    helper,  ///< the thread that looks after the link
    task,    ///< the one that runs tasks, which waits for one of its own
};

/// What a worker and the parent see of tasks that tasks have submitted. Never touched
/// by a worker whose tasks do not. docs/protocols/nested_submission.md
struct LinkMemory {
    FrameRing asks;   ///< worker to parent
    FrameRing tells;  ///< parent to worker
    /// By LinkSleeper: the parent counts up the one that `sleeper` names, and wakes.
    alignas(cache_line) std::array<mp::detail::FutexWord, 2> bells;
    /// The worker.
    std::atomic<LinkSleeper> sleeper;
    std::atomic<std::uint64_t> waits_in;  ///< the number of a wait; 0: it does not wait
};

/// Who of the parent is to be woken for a result.
enum class Sleeper : std::uint64_t {
    nobody = 0,
    manager = 1,  ///< sleeps in epoll, on the doorbell
    client = 2,   ///< sleeps on client_wakes
};

struct BoardHeader {
    // Set once, before the first worker starts. Each side keeps its own copy of the
    // numbers by which it finds what stands here.
    std::uint64_t slots;
    std::uint32_t workers;
    std::uint64_t trim_threshold;  ///< free bytes that an idle worker's arena keeps

    alignas(cache_line) std::atomic<std::uint64_t> tail;  ///< parent: next position
    alignas(cache_line) std::atomic<std::uint64_t> head;  ///< first that may be ready
    WorkerSet sleepers;
    WorkerSet searching;
    alignas(cache_line
    ) std::atomic<std::uint64_t> parent_sleeper;  ///< generation << 2 | Sleeper
    alignas(cache_line) mp::detail::FutexWord client_wakes;
    alignas(cache_line) std::atomic<std::uint32_t> stop;
    /// How often the pool became idle: workers give memory back before they sleep.
    std::atomic<std::uint32_t> trims;
    /// Somebody waits until workers are ready: they ring.
    std::atomic<std::uint32_t> ready_wanted;
    /// The parent: places that have ever had a worker, the first ones.
    std::atomic<std::uint32_t> places_used;
    alignas(cache_line) std::atomic<std::int32_t> submit_cpu;
    /// The parent: when it looks at limited tasks next, in nanoseconds of the monotonic
    /// clock; 0: not before a worker rings.
    alignas(cache_line) std::atomic<std::int64_t> next_look;
    /// A worker began a limited task for which that is too late.
    alignas(cache_line) std::atomic<std::uint32_t> look_wanted;
    /// The parent: there are more workers than usual, because some wait for tasks of
    /// their own; whoever waits no more rings.
    std::atomic<std::uint32_t> has_spares;
    /// Workers: it has asked for something, over its LinkMemory.
    WorkerSet asking;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::int32_t>::is_always_lock_free);
static_assert(std::atomic<WorkerPhase>::is_always_lock_free);
static_assert(std::atomic<LastStep>::is_always_lock_free);

/// Finds the parts of a board in its segment. A value; it owns nothing. The numbers are
/// its own: what is written over the header moves nothing.
class BoardView {
public:
    BoardView() = default;

    /// Requires: `memory` holds size_for() bytes.
    BoardView(std::byte* memory, std::uint64_t slots, std::uint32_t workers) noexcept
        : memory_(memory), slot_count_(slots), workers_(workers) {}

    /// Requires: a header is there, which is believed.
    explicit BoardView(std::byte* memory) noexcept : memory_(memory) {
        slot_count_ = header().slots;
        workers_ = header().workers;
    }

    static std::size_t size_for(std::uint64_t slots, std::uint32_t workers) noexcept {
        return links_offset(slots, workers) + workers * sizeof(LinkMemory);
    }

    std::uint64_t slot_count() const noexcept { return slot_count_; }

    std::uint32_t workers() const noexcept { return workers_; }

    BoardHeader& header() const noexcept {
        return *reinterpret_cast<BoardHeader*>(memory_);
    }

    WorkerControl& control(std::uint32_t worker) const noexcept {
        return reinterpret_cast<WorkerControl*>(memory_ + sizeof(BoardHeader))[worker];
    }

    Slot* slots() const noexcept {
        return reinterpret_cast<Slot*>(memory_ + slots_offset(workers_));
    }

    /// The result ring of a worker: as many entries as slots, so it is never full.
    ResultItem* ring(std::uint32_t worker) const noexcept {
        auto* rings = reinterpret_cast<ResultItem*>(slots() + slot_count_);
        return rings + worker * slot_count_;
    }

    LinkMemory& link(std::uint32_t worker) const noexcept {
        return reinterpret_cast<LinkMemory*>(
            memory_ + links_offset(slot_count_, workers_)
        )[worker];
    }

    /// As far as it can be believed.
    std::uint32_t places_used() const noexcept {
        return std::min(header().places_used.load(), workers_);
    }

    /// How many words of a WorkerSet `used` places have.
    static std::size_t set_words(std::uint32_t used) noexcept {
        return (std::size_t{used} + 63) / 64;
    }

    /// Those bits of such a word that belong to one of these places.
    static WorkerSet::Word set_mask(std::size_t index, std::uint32_t used) noexcept {
        const std::size_t before = index * 64;
        const std::size_t bits = used > before ? used - before : 0;
        return bits >= 64 ? ~WorkerSet::Word{0} : (WorkerSet::Word{1} << bits) - 1;
    }

private:
    static std::size_t slots_offset(std::uint32_t workers) noexcept {
        return sizeof(BoardHeader) + workers * sizeof(WorkerControl);
    }

    static std::size_t
    links_offset(std::uint64_t slots, std::uint32_t workers) noexcept {
        return slots_offset(workers) + slots * sizeof(Slot) +
               workers * slots * sizeof(ResultItem);
    }

    std::byte* memory_ = nullptr;
    std::uint64_t slot_count_ = 0;
    std::uint32_t workers_ = 0;
};

}  // namespace futures::detail
