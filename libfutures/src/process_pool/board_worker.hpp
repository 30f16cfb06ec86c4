// SPDX-License-Identifier: BSL-1.0
// BoardWorker: the worker's side of the board. docs/protocols/board.md is its protocol:
// between any two operations here the process may be killed, and nothing but the task
// that it runs is lost.
// Threads: one, the only one of the worker that touches the board.
#pragma once

#include "mp/detail/bytes.hpp"
#include "mp/detail/call_thunk.hpp"
#include "mp/timeout.hpp"

#include "os/spin.hpp"
#include "process_pool/board_layout.hpp"
#include "process_pool/message_arena.hpp"
#include "process_pool/step_aside.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace futures::detail {

/// What is known of a task beside its call.
struct TaskHead {
    std::uint64_t position = 0;
    std::uint32_t attempt = 1;
    std::string_view name = {};  ///< empty: it was given none
    mp::Deadline deadline{mp::forever};
    int priority = 0;
    mp::detail::CallDone* done = nullptr;  ///< to be told when it is
};

/// Runs what the board delivers.
class TaskRunner {
public:
    TaskRunner() = default;
    TaskRunner(const TaskRunner&) = delete;
    TaskRunner& operator=(const TaskRunner&) = delete;
    virtual ~TaskRunner() = default;

    /// `call` lives until this returns; the result, or the encoded exception, goes to
    /// `out`.
    virtual ResultKind
    run(std::span<const std::byte> call, mp::detail::ByteWriter& out) noexcept = 0;

    /// Of the call that run() is about to be given.
    TaskHead head;
};

struct BoardWorkerOptions {
    std::uint32_t index = 0;
    mp::detail::SpinPolicy policy{};
    std::uint64_t max_tasks = 0;                   ///< 0: any number
    std::uint64_t max_memory = 0;                  ///< resident bytes; 0: any
    int doorbell = -1;                             ///< the parent's
    mp::Timeout idle_timeout = mp::forever;        ///< then it tells the parent
    std::uint64_t calls_size = ~std::uint64_t{0};  ///< of the arena of calls
};

/// Why a worker's loop ended.
enum class WorkerEnd : std::uint8_t {
    in_order,
    damaged,  ///< somebody wrote over what it is to run
};

class BoardWorker {
public:
    BoardWorker(
        BoardView view,
        std::byte* call_arena,
        ResultArenaWriter& results,
        BoardWorkerOptions options
    ) noexcept;

    /// Leaves the encoded exception of the initializer for the parent. Then end.
    void initializer_failed(std::span<const std::byte> exception);

    /// Takes tasks and runs them until the board is stopped, max_tasks were run,
    /// max_memory is exceeded, or somebody wrote over what it is to run.
    WorkerEnd run(TaskRunner& runner) noexcept;

private:
    class ReadyResult;

    std::optional<std::uint64_t> claim() noexcept;
    std::optional<std::uint64_t> search() noexcept;
    bool spin(std::optional<std::uint64_t>& position) noexcept;
    void found_by_search() noexcept;
    void give_memory_back() noexcept;
    void sleep() noexcept;
    bool looks_empty() const noexcept;
    bool execute(std::uint64_t position, TaskRunner& runner) noexcept;
    std::optional<std::span<const std::byte>>
    call_at(std::uint64_t position, CallCopy& copy) const noexcept;
    std::optional<std::span<const std::byte>>
    read_trailer(std::span<const std::byte> message, TaskHead& head) noexcept;
    void begin_limited(const TaskHead& head, std::chrono::nanoseconds limit) noexcept;
    void put_result(std::uint64_t position, ResultKind kind) noexcept;
    ItemSum put_entry(
        std::uint64_t position, ResultItem::Shape shape, ResultItem::Words words
    ) noexcept;
    void commit(std::uint64_t position) noexcept;
    void tell() noexcept;
    bool is_too_large() const noexcept;
    mp::Deadline idle_deadline() noexcept;
    void tell_idle() noexcept;
    void no_longer_idle() noexcept;
    bool hears_of_end() noexcept;

    // Set once in the constructor.
    BoardView view_;
    BoardHeader& header_;
    WorkerControl& control_;
    Slot* slots_;
    ResultItem* ring_;
    std::byte* call_arena_;
    ResultArenaWriter& results_;
    BoardWorkerOptions options_;

    std::uint64_t mask_;
    std::uint32_t trims_;  ///< those of the board that were seen
    std::uint64_t seen_tail_ = 0;
    std::uint64_t written_ = 0;
    bool untold_ = false;  ///< a result was committed and nobody was woken for it
    std::optional<mp::Deadline> idle_end_;  ///< of an idle time that is not told of
    bool idle_told_ = false;
    mp::detail::SpinHistory spins_;
    StepAside aside_;
    ResultStore store_;
    mp::detail::ByteWriter out_;
};

}  // namespace futures::detail
