// SPDX-License-Identifier: BSL-1.0
// MPIPool: one executor: its tasks that have not been sent, and what the farm's thread
// knows of it.
// Python:  mpi4py.futures._core.Pool and its work queue.
// Threads: as said.  Life: while a task, the executor or the farm has it.
#pragma once

#include "futures/detail/waiting_task.hpp"
#include "futures/mpi_pool.hpp"
#include "mp/detail/carried.hpp"
#include "mp/detail/creator.hpp"
#include "mp/thread_safety.hpp"

#include "mpi/farm.hpp"
#include "mpi/task_queue.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace futures::detail {

/// Of the options and of RunOptions. Throws std::invalid_argument.
void check_backoff(const mp::Timeout& backoff);

class MPIPool final : public RemotePool,
                      public TaskBoard,
                      public std::enable_shared_from_this<MPIPool> {
public:
    /// Throws std::invalid_argument, mp::StateError while the program exits.
    MPIPool(std::shared_ptr<Farm> farm, MPIPoolOptions options);
    ~MPIPool() override = default;

    // ---- for the executor

    void check_accepting() const override;
    void complete(SubmitOptions& options) const override;

    bool limits_each_task() const noexcept override { return false; }

    void
    submit_call(PoolTask& task, std::span<const std::byte> call, bool a_chunk) override;
    void await(WaitingTask& task) override;
    void close() noexcept override;

    void shutdown(ShutdownOptions options);
    void bootup(bool wait);
    std::size_t num_workers() const noexcept;
    MPIPoolStatistics statistics() const;

    /// The program exits: what was submitted is done first.
    void finish_at_exit() noexcept;
    /// It does so in a callback: nothing goes on.
    void give_up_at_exit() noexcept;

    // ---- for its tasks and their gates

    TaskBoard& task_board() noexcept override { return *this; }

    StopAnswer stop(PoolTask& task) override;
    Block grow_call(
        Block& block,
        std::span<const std::byte> written,
        mp::detail::ByteStore::Room room
    ) override;

    const mp::detail::Carried& given() const noexcept override { return nothing_; }

    const char* not_given_text() const noexcept override;

    WaitingRoom& waiting() noexcept override { return waiting_; }

    void submit_waiting(PoolTask& task, std::span<const std::byte> call) override;
    void conclude_unplaced(BoardTask& task) noexcept override;

    bool cancel(BoardTask& task) noexcept override;
    StopAnswer stop(BoardTask& task) override;
    void cancelled(const BoardTask& task) noexcept override;
    bool is_running(const BoardTask& task) const noexcept override;
    bool help(BoardTask& task, const mp::Deadline& deadline) override;

    // ---- for the farm's thread

    /// A rank, as far as this executor is concerned. The farm's thread's own.
    struct At {
        bool is_opened = false;  ///< it was told of the executor
        bool is_ready = false;   ///< it has answered
        bool has_closed = false;
        std::uint32_t flights = 0;
        std::uint32_t workers = 1;
        /// So many tasks, one after the other, took less than a message does.
        std::uint32_t quick = 0;
        bool is_short = false;  ///< the last one took no time worth mentioning
    };

    std::vector<At>& ranks() noexcept { return at_; }

    std::uint32_t number() const noexcept { return number_; }

    /// Before the farm's thread has it.
    void take_number(std::uint32_t number) noexcept { number_ = number; }

    const MPIPoolOptions& options() const noexcept { return options_; }

    bool is_isolated() const noexcept {
        return options_.isolation == Isolation::process;
    }

    /// How many tasks that rank may have.
    std::uint32_t credits_at(const At& at) const noexcept;

    /// Whether some task may be sent; a hint.
    bool has_pending() const noexcept { return pending_.load() != 0; }

    /// The next one that may; null: none. It has been sent, from here on, with that
    /// number, to that rank.
    PoolTask* take_next(std::uint64_t number, std::size_t peer) noexcept;

    /// But it could not.
    void note_unsent(std::size_t peer) noexcept;

    /// When a task may be sent that waits for its time; max(): there is none.
    TaskQueue::Clock::time_point next_time(TaskQueue::Clock::time_point now) const;

    /// It could not be sent after all, or is run again.
    void put_back(PoolTask& task, bool is_again) noexcept;

    /// What a rank is to be told first.
    std::span<const std::byte> opening() const noexcept { return opening_; }

    bool wants_bootup() const noexcept { return boot_wanted_.load() && !closing_; }

    void has_booted() noexcept { boot_wanted_ = false; }

    void is_ready_at(std::size_t peer, std::uint32_t workers) noexcept;
    void has_failed_at(std::size_t peer, const std::exception_ptr& cause) noexcept;

    /// Nothing of it goes on: what is not done fails.
    void break_with(std::string what, const std::exception_ptr& cause) noexcept;

    std::exception_ptr broken_error() const noexcept;

    struct Answer {
        std::int64_t nanoseconds;
        std::size_t sent;
        std::size_t received;
        bool is_lost;
    };

    /// Of a task, which has ended as far as cancel(running) is concerned; null: nobody
    /// wants it. True: that was called before.
    bool note_answer(std::size_t peer, const Answer& answer, PoolTask* task) noexcept;

    /// Tells the future of one that was submitted how it ended.
    void conclude(PoolTask& task) noexcept;

    /// Takes those that are to be stopped.
    std::vector<std::uint64_t> take_stops();

    bool has_stops() const noexcept { return stops_wanted_.load(); }

    /// The job ends: no new work, as after shutdown().
    void refuse() noexcept;

    /// It was shut down, and nothing of it is left to do.
    bool is_done() const;
    bool closes() const noexcept { return closing_; }
    void begin_closing() noexcept { closing_ = true; }
    void set_over() noexcept;

    std::uint32_t flights = 0;              ///< the farm's thread's own
    std::atomic<std::uint32_t> telling{0};  ///< tasks whose futures are being told

private:
    /// Where a task is that was answered: nobody stops it any more.
    static constexpr std::uint64_t landed = BoardTask::unplaced - 1;

    void begin();
    void note_submitted(PoolTask& task, std::span<const std::byte> call, bool is_late);
    void wait_for_space() MP_REQUIRES(mutex_);
    std::exception_ptr error_locked() const MP_REQUIRES(mutex_);
    [[noreturn]] void throw_broken() const MP_REQUIRES(mutex_);
    std::vector<BoardTask*> take_queued();
    void fail_queued() noexcept;

    // Set once in the constructor, or by begin().
    const std::shared_ptr<Farm> farm_;
    const MPIPoolOptions options_;
    const std::uint32_t members_;
    const mp::detail::Creator creator_;
    const mp::detail::Carried nothing_;
    std::vector<std::byte> opening_;
    std::uint32_t number_ = 0;

    // Own synchronisation.
    WaitingRoom waiting_{[this] {
        farm_->ring();
    }};
    std::atomic<bool> accepting_{true};
    std::atomic<std::size_t> pending_{0};
    std::atomic<bool> boot_wanted_{false};
    std::atomic<bool> stops_wanted_{false};

    // Guarded by mutex_.
    mutable mp::detail::Mutex mutex_;
    mutable mp::detail::CondVar changed_;
    TaskQueue queue_ MP_GUARDED_BY(mutex_);
    bool begun_ MP_GUARDED_BY(mutex_) = false;
    bool shut_down_ MP_GUARDED_BY(mutex_) = false;
    bool over_ MP_GUARDED_BY(mutex_) = false;
    int exit_part_ MP_GUARDED_BY(mutex_) = 0;
    std::string broken_ MP_GUARDED_BY(mutex_);  ///< why
    std::exception_ptr broken_cause_ MP_GUARDED_BY(mutex_);
    std::size_t ready_ MP_GUARDED_BY(mutex_) = 0;
    std::uint64_t submitted_ MP_GUARDED_BY(mutex_) = 0;
    std::uint64_t concluded_ MP_GUARDED_BY(mutex_) = 0;
    std::uint64_t retried_ MP_GUARDED_BY(mutex_) = 0;
    std::uint64_t lost_ MP_GUARDED_BY(mutex_) = 0;
    std::uint64_t bytes_sent_ MP_GUARDED_BY(mutex_) = 0;
    std::uint64_t bytes_received_ MP_GUARDED_BY(mutex_) = 0;
    std::vector<MPIRankStatistics> counts_ MP_GUARDED_BY(mutex_);
    std::vector<std::uint64_t> stops_ MP_GUARDED_BY(mutex_);

    // The farm's thread's own.
    std::vector<At> at_;
    bool closing_ = false;
};

}  // namespace futures::detail
