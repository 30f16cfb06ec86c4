// SPDX-License-Identifier: BSL-1.0
// Nesting: how deep values stand inside each other, so that no message and no list of a
// million pointers ends the stack.
// Python:  RecursionError.
// Differs: a SerializationError; the stack that is left counts too.
// Threads: each counts for itself, for all archives that are open in it.
#pragma once

#include <cstdint>

namespace mp::detail {

enum class Direction { encode, decode };

/// Levels of plain values. A graph may have twice as many, as a pointer and what holds
/// it are two.
inline constexpr int max_nested = 5000;
inline constexpr int max_nested_in_graph = 2 * max_nested;

struct NestingOfThread {
    int depth;
    /// A frame below this one is looked at more closely.
    std::uintptr_t lowest_frame;
};

// In the static part of a thread's storage, as it is asked for at every level.
extern constinit thread_local NestingOfThread nesting_of_thread
    __attribute__((tls_model("initial-exec")));

/// Throws SerializationError if `limit` levels are open or the stack is nearly full.
void check_nesting(int depth, int limit, Direction direction);

/// Where the stack stands now. Without the help of a frame pointer, which would be one
/// more thing to do for each value.
[[gnu::always_inline]] inline std::uintptr_t stack_now() noexcept {
#if defined(__x86_64__) && defined(__LP64__)
    std::uintptr_t now = 0;
    asm("movq %%rsp, %0" : "=r"(now));
    return now;
#else
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#endif
}

/// Before one level more.
[[gnu::always_inline]] inline void
enter_nesting(int depth, Direction direction, int limit) {
    if (depth >= limit || stack_now() < nesting_of_thread.lowest_frame) [[unlikely]] {
        check_nesting(depth, limit, direction);
    }
}

/// The thread's own stack holds this address; false on the stack of a fiber.
bool is_on_own_stack(std::uintptr_t address) noexcept;

/// It stands in a frame that is open, on the thread's own stack.
[[gnu::always_inline]] inline bool is_in_open_frame(std::uintptr_t address) noexcept {
    return address >= reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) &&
           is_on_own_stack(address);
}

/// This thread runs on its own stack, and half of it at least is left.
bool half_of_stack_is_left() noexcept;

/// How many levels of destructors the stack of this thread can take from here.
int levels_to_destroy() noexcept;

/// One level deeper, for as long as it lives. All archives of a thread count together,
/// so that a value inside bytes inside a value does not begin anew.
class Nesting {
public:
    explicit Nesting(Direction direction, int limit = max_nested) {
        enter_nesting(nesting_of_thread.depth, direction, limit);
        ++nesting_of_thread.depth;
    }

    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

    ~Nesting() { --nesting_of_thread.depth; }
};

/// How deep one archive is: a copy of the thread's depth that a compiler may keep in a
/// register. The thread's own follows when a level is entered, and is put right after
/// each whole value and when the archive goes.
class ArchiveDepth {
public:
    ArchiveDepth() noexcept : begin_(nesting_of_thread.depth), now_(begin_) {}

    ArchiveDepth(const ArchiveDepth&) = delete;
    ArchiveDepth& operator=(const ArchiveDepth&) = delete;

    ~ArchiveDepth() {
        // Another one, made before and gone before, may have done so.
        if (nesting_of_thread.depth > begin_) {
            nesting_of_thread.depth = begin_;
        }
    }

    /// Before something else counts on.
    void tell() const noexcept { nesting_of_thread.depth = now_; }

    class Level {
    public:
        Level(ArchiveDepth& depth, Direction direction) : depth_(depth) {
            enter_nesting(depth.now_, direction, max_nested);
            nesting_of_thread.depth = ++depth_.now_;
        }

        Level(const Level&) = delete;
        Level& operator=(const Level&) = delete;

        ~Level() {
            // At its outermost level, so that an archive that stays open counts
            // nothing.
            if (--depth_.now_ == depth_.begin_) {
                nesting_of_thread.depth = depth_.begin_;
            }
        }

    private:
        ArchiveDepth& depth_;
    };

private:
    int begin_;
    int now_;
};

}  // namespace mp::detail
