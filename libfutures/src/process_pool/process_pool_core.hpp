// SPDX-License-Identifier: BSL-1.0
// ProcessPool: what a ProcessPoolExecutor, its tasks and its manager thread share: the
// board, the workers and the end of it all.
// Python:  concurrent.futures.process._ExecutorManagerThread and the private part of
//          ProcessPoolExecutor.
// Threads: as said. Life: while a task, the executor or the manager thread has it.
#pragma once

#include "futures/detail/waiting_task.hpp"
#include "futures/process_pool.hpp"
#include "mp/detail/creator.hpp"
#include "mp/process.hpp"
#include "mp/thread_safety.hpp"

#include "process_pool/board.hpp"
#include "process_pool/deadline_timer.hpp"
#include "process_pool/loss_window.hpp"
#include "process_pool/manager_thread.hpp"
#include "process_pool/nested_calls.hpp"
#include "process_pool/start_trouble.hpp"
#include "process_pool/worker_output.hpp"
#include "process_pool/worker_table.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace futures::detail {

class ProcessPool final : public RemotePool,
                          public ManagerDuties,
                          public std::enable_shared_from_this<ProcessPool> {
public:
    explicit ProcessPool(ProcessPoolOptions options);
    ProcessPool(const ProcessPool&) = delete;
    ProcessPool& operator=(const ProcessPool&) = delete;
    ~ProcessPool() override;

    // ---- any thread

    void check_accepting() const override;

    /// The pool's time limit, for a task that has none.
    void complete(SubmitOptions& options) const override {
        if (options.timeout.is_forever() && !options_.task_timeout.is_forever()) {
            options.timeout = options_.task_timeout;
            options.grace = options_.task_grace;
        }
    }

    bool limits_each_task() const noexcept override {
        return !options_.task_timeout.is_forever();
    }

    void
    submit_call(PoolTask& task, std::span<const std::byte> call, bool a_chunk) override;

    /// Submits; the task's reference is the board's from now on.
    void submit(PoolTask& task, std::span<const std::byte> call);

    StopAnswer stop(PoolTask& task) override;

    void await(WaitingTask& task) override;

    void submit_waiting(PoolTask& task, std::span<const std::byte> call) override;

    void conclude_unplaced(BoardTask& task) noexcept override {
        board_.conclude_unplaced(task);
    }

    /// What it has submitted is to stop as well.
    void note_stopped(const PoolTask& task) noexcept override {
        if (!nested_.none()) {
            nested_.note_stopped(task.position);
        }
    }

    WaitingRoom& waiting() noexcept override { return waiting_; }

    void shutdown(ShutdownOptions options);
    void reset();
    void force_shutdown(int signal);

    void resize(Count workers);
    void bootup();

    std::vector<pid_t> worker_pids() const;
    ProcessPoolStatistics statistics() const;

    Board& board() noexcept { return board_; }

    TaskBoard& task_board() noexcept override { return board_; }

    Block grow_call(
        Block& block,
        std::span<const std::byte> written,
        mp::detail::ByteStore::Room room
    ) override;

    const mp::detail::Carried& given() const noexcept override { return given_; }

    const char* not_given_text() const noexcept override;

    void close() noexcept override;

    /// The program exits. If it does so in a callback in the manager's thread, nothing
    /// of this pool can go on: its futures fail, its workers get SIGTERM.
    void give_up_at_exit();

    /// The program exits: what was submitted is done first.
    void finish_at_exit() noexcept;

    // ---- the manager thread

    bool housekeeping() noexcept override;
    void asked() noexcept override;
    void idle() noexcept override;
    void step_due() noexcept override { step_timer_.take(); }
    void worker_gone(std::uint32_t index) noexcept override;

private:
    struct Starting {
        std::uint32_t index;
        std::unique_ptr<mp::Process> process;
    };

    enum class Stage : std::uint8_t {
        idle,  ///< nothing was submitted
        working,
        stopping,  ///< the workers were told to end
        over,      ///< there are none, and the manager thread ends
    };

    /// While it lives, the manager does not end: what still fails has callbacks.
    class Forcing {
    public:
        Forcing(std::atomic<int>& count, const mp::detail::EventFd& bell)
            : count_(count), bell_(bell) {
            ++count_;
        }

        ~Forcing() {
            --count_;
            bell_.ring();
        }

        Forcing(const Forcing&) = delete;
        Forcing& operator=(const Forcing&) = delete;

    private:
        std::atomic<int>& count_;
        const mp::detail::EventFd& bell_;
    };

    // process_pool_core.cpp
    /// The first submit(); false when another thread was quicker.
    bool begin_with(PoolTask& task, std::span<const std::byte> call);
    bool begin() MP_REQUIRES(mutex_);
    const std::optional<std::uint64_t>& memory_limit(const PoolTask& task
    ) const noexcept;
    void check_size(const PoolTask& task, std::span<const std::byte> call) const;
    void note_limits(PoolTask& task);
    void start_all_parts() MP_REQUIRES(mutex_);
    void take_back_start(int exit_part) noexcept MP_REQUIRES(mutex_);
    void end_unwanted_workers() noexcept MP_REQUIRES(mutex_);
    void want_workers() noexcept;
    void await_starting() const MP_REQUIRES(mutex_);

    // process_pool_start.cpp
    std::size_t workers_wanted() const noexcept;
    void start_workers(std::size_t count) MP_EXCLUDES(mutex_);
    void start_workers_locked(std::size_t count) MP_REQUIRES(mutex_);
    std::vector<Starting> make_processes(std::size_t count) MP_REQUIRES(mutex_);
    std::unique_ptr<mp::Process>
    make_process(std::uint32_t index, const ResultArenaReader& arena)
        MP_REQUIRES(mutex_);
    std::exception_ptr start_all(const std::vector<Starting>& starting) noexcept;
    void adopt(std::vector<Starting>& starting, std::exception_ptr& failure)
        MP_REQUIRES(mutex_);
    void start_failed(const std::exception_ptr& failure, std::size_t count)
        MP_REQUIRES(mutex_);
    void give_up_starting(const std::exception_ptr& cause) noexcept MP_REQUIRES(mutex_);
    void forget_start_failure() noexcept;
    bool waits_for_next_start() noexcept;
    void look_who_began() MP_REQUIRES(mutex_);

    // process_pool_turn.cpp
    void end_workers() noexcept;
    void kill_faulty_workers() noexcept;
    void break_if_damaged() noexcept;

    // process_pool_limits.cpp
    using Time = std::chrono::steady_clock::time_point;

    void watch_tasks() noexcept;
    void look_at_tasks();
    Time next_step(PoolTask& task, std::uint32_t index, Time now);
    bool is_being_stopped(std::uint32_t index);
    void recover_stopped(std::uint32_t index, const Worker& worker);

    // process_pool_ladder.cpp
    /// How far the task of a worker has been driven to stop.
    struct Ladder {
        enum class Rung : std::uint8_t { none, asked, terminated, killed };

        std::uint64_t position = BoardTask::unplaced;  ///< the task's
        Rung rung = Rung::none;
        Time next{};  ///< when the next rung is due
        mp::Timeout kill_after = usual_kill_after;
    };

    void ask_to_stop(PoolTask& task, std::uint32_t index, Time now);
    Time strike(std::uint32_t index);
    bool still_runs(std::uint32_t index, std::uint64_t position);
    void strike_standing(Worker& worker, Ladder& ladder, bool may_signal)
        MP_REQUIRES(mutex_);

    // process_pool_size.cpp
    void settle_size() noexcept;
    std::vector<std::uint32_t> staying_workers() MP_REQUIRES(mutex_);
    void tell_to_retire(std::uint32_t index) MP_REQUIRES(mutex_);
    void retire_surplus(std::vector<std::uint32_t>& staying) MP_REQUIRES(mutex_);
    void keep_retiring(std::size_t count) MP_REQUIRES(mutex_);
    void retire_idle(const std::vector<std::uint32_t>& staying) MP_REQUIRES(mutex_);
    bool is_booted() MP_REQUIRES(mutex_);
    void tell_boots() noexcept;

    std::uint32_t most_workers() const noexcept {
        return std::min(places_, target_.load() + spares_.load());
    }

    // process_pool_nested.cpp
    static constexpr std::uint64_t nothing_lost = ~std::uint64_t{0};

    void take_asks() noexcept;
    void serve(std::uint32_t index, std::uint64_t lost_from) noexcept;
    void take_ask(
        std::uint32_t index,
        NestedLink& link,
        std::span<const std::byte> frame,
        std::uint64_t lost_from
    );
    void submit_nested(
        std::uint32_t index,
        NestedLink& link,
        const AskHead& head,
        mp::detail::ByteReader& in,
        std::uint64_t lost_from
    );
    void answer(std::uint32_t index, NestedLink& link, const AskHead& head);
    void end_of_stacked(NestedLink& link, std::uint64_t number, bool has_run);
    void cancel_nested(NestedTask& task);
    void cancel_calls_of_stopped();
    void settle_nested() noexcept;
    void close_link(std::uint32_t index);

    // process_pool_waits.cpp
    bool is_waiting(std::uint32_t index, const NestedLink& link) const noexcept;
    bool is_about_to_go_on();
    void note_wait(
        std::uint32_t index,
        NestedLink& link,
        const AskHead& head,
        std::span<const std::byte> numbers
    );
    bool settle_waits();
    bool can_start_after_all();
    bool run_on_stack(std::uint32_t index, NestedLink& link, std::uint64_t number);
    bool run_any_on_stack();
    NestedTaskPtr awaited_in_queue();
    std::string top_label(std::uint32_t index, const NestedLink& link);
    std::string cycle_through(std::uint32_t index, NestedLink& link);
    std::string stack_in_words(std::uint32_t index);
    void set_spares(std::uint32_t count) noexcept;

    // process_pool_ends.cpp
    void begin_start_limit(Worker& worker) const noexcept;
    void watch_steps() noexcept;
    void watch_step(std::uint32_t index, Worker& worker) MP_REQUIRES(mutex_);
    bool is_in_step(std::uint32_t index, Step step) const noexcept;
    void kill_if_in_step(std::uint32_t index, Worker& worker) MP_REQUIRES(mutex_);
    bool ends_wait_for_finalizers() noexcept;
    bool retired(std::uint32_t index, const Worker& worker);
    void worker_ended(std::uint32_t index, const Worker& worker);
    void slow_worker_gone(std::uint32_t index, const Worker& worker);

    // process_pool_limit_signals.cpp
    std::string limit_told_by(const PoolTask& task, const Worker& worker) const;
    bool struck_by_limit(std::uint32_t index, const Worker& worker);
    void recover_from_limit(std::uint32_t index, const Worker& worker);

    // process_pool_loss.cpp
    bool was_out_of_memory(const Worker& worker) noexcept;
    void worker_lost(std::uint32_t index, const Worker& worker);
    std::exception_ptr
    verdict_on(PoolTask& task, std::uint32_t index, const Worker& worker);
    bool
    is_one_too_many(const Worker& worker, const std::string& what, WorkerPhase phase);
    bool borne(const Worker& worker, const std::string& what, WorkerPhase phase);
    void cannot_start(const std::exception_ptr& cause) noexcept;
    void mark_broken(const std::string& what) noexcept;
    void break_pool(const std::string& what, const std::exception_ptr& cause) noexcept;
    void signal_workers(int signal) noexcept MP_EXCLUDES(mutex_);
    void end_worker(const mp::Process& process, int signal) const;
    void end_if_possible(const mp::Process& process, int signal) const noexcept;

    // process_pool_reset.cpp
    void revive() MP_EXCLUDES(mutex_);
    void renew() MP_REQUIRES(mutex_);

    // Set once in the constructor.
    const ProcessPoolOptions options_;
    const mp::Environment environment_;  ///< of the workers: what changes
    const mp::detail::Carried given_;
    const std::uint32_t first_size_;   ///< max_workers, before any resize()
    const std::uint32_t places_;       ///< as many workers as there may ever be
    const std::uint32_t max_blocked_;  ///< workers that are added for others that wait
    const mp::Context context_;
    const mp::StartMethod method_;
    const mp::detail::Creator creator_;

    // Own synchronisation.
    const ArenaSizes arena_sizes_;
    Board board_;
    std::shared_ptr<CallArena> calls_;
    const std::unique_ptr<WorkerOutput> output_;  ///< null: it is not captured
    WaitingRoom waiting_{[this] {
        board_.doorbell().ring();
    }};
    std::atomic<std::uint32_t> alive_{0};   ///< workers, those being started too
    std::atomic<std::uint32_t> target_;     ///< most workers to have
    std::atomic<std::uint32_t> spares_{0};  ///< more of them, as some wait
    std::atomic<std::uint32_t> waiting_workers_{0};  ///< of them, when last counted
    std::atomic<std::uint32_t> booting_{0};          ///< threads in bootup()
    std::atomic<bool> boot_wanted_{false};           ///< one of them began
    std::atomic<bool> sizes_change_;                 ///< workers may have to retire
    std::atomic<bool> begun_{false};
    std::atomic<bool> accepting_{true};
    std::atomic<int> forcing_{0};        ///< threads in force_shutdown()
    std::atomic<bool> watching_{false};  ///< some task had a limit, or was stopped
    DeadlineTimer step_timer_;           ///< for a worker's start, and its end
    /// A frame has a little more than its call.
    NestedCalls nested_{board_, calls_->longest_message() + (std::uint64_t{1} << 16U)};

    // Guarded by mutex_.
    mutable mp::detail::Mutex mutex_;
    mutable mp::detail::CondVar started_;
    bool starting_ MP_GUARDED_BY(mutex_
    ) = false;  ///< a process may run, and not be below
    WorkerTable workers_ MP_GUARDED_BY(mutex_);
    Stage stage_ MP_GUARDED_BY(mutex_) = Stage::idle;
    bool shut_down_ MP_GUARDED_BY(mutex_) = false;
    int forced_ MP_GUARDED_BY(mutex_) = 0;  ///< the signal of a forced shutdown
    std::optional<std::string> broken_ MP_GUARDED_BY(mutex_);  ///< why
    std::exception_ptr broken_cause_ MP_GUARDED_BY(mutex_);
    std::exception_ptr boot_failure_ MP_GUARDED_BY(mutex_);
    bool reset_wanted_ MP_GUARDED_BY(mutex_
    ) = false;                                     ///< by a thread that waits for it
    bool reviving_ MP_GUARDED_BY(mutex_) = false;  ///< a thread is at it
    mp::detail::CondVar revived_;
    ProcessPoolStatistics counts_ MP_GUARDED_BY(mutex_);
    std::uint64_t names_ MP_GUARDED_BY(mutex_) = 0;
    int exit_part_ MP_GUARDED_BY(mutex_) = 0;

    // The manager's own; before there is one, begin()'s.
    std::exception_ptr start_failure_;
    std::size_t max_now_ = max_workers;  ///< fewer after a failed start, until a death
    bool damage_told_ = false;
    bool watch_failed_ = false;    ///< a task could not be stopped; the log has it
    std::vector<Ladder> ladders_;  ///< by worker
    std::vector<std::uint64_t> stopped_;  ///< tasks whose calls are to be cancelled
    LossWindow losses_;
    StartTrouble start_trouble_;  ///< workers dead before their first task, in a row
    std::optional<StartTrouble::Clock::time_point> next_start_;  ///< not before that
    std::optional<mp::Deadline> end_grace_;  ///< with workers that were told to end
    int next_signal_ = 0;
    std::optional<std::uint64_t> oom_kills_;  ///< of our group that were told
    bool slow_end_told_ = false;  ///< that finalizers take long; the log has it

    ManagerThread manager_;
};

}  // namespace futures::detail
