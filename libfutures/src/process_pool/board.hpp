// SPDX-License-Identifier: BSL-1.0
// Board: the parent's side of the shared-memory board that carries tasks to workers and
// results back. docs/protocols/board.md is its protocol.
// Threads: any, unless said. Lock order: drain_mutex_, then mutex_. No code of the
//          program runs under either.
#pragma once

#include "futures/detail/board_task.hpp"
#include "mp/detail/creator.hpp"
#include "mp/detail/event_fd.hpp"
#include "mp/detail/shm.hpp"
#include "mp/thread_safety.hpp"
#include "mp/timeout.hpp"

#include "executor/ranked_tasks.hpp"
#include "os/spin.hpp"
#include "process_pool/board_layout.hpp"
#include "process_pool/board_options.hpp"
#include "process_pool/guard_timer.hpp"
#include "process_pool/limit_timer.hpp"
#include "process_pool/message_arena.hpp"
#include "process_pool/task_list.hpp"
#include "process_pool/waiting_tasks.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace futures::detail {

class Board final : public TaskBoard {
public:
    /// What becomes of a task that was running in a worker that died: an exception, or
    /// null to run it again (then it has keep_message).
    using Verdict = std::function<std::exception_ptr(BoardTask&)>;

    explicit Board(BoardOptions options);
    ~Board();

    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;

    // ---- for clients

    /// Puts the task on the board, or behind those that wait for a place. `call` is the
    /// message; empty if it stands in task.message already. Returns false after
    /// refuse(); then nothing happened. Throws std::bad_alloc.
    enum class Admission : std::uint8_t {
        asked,  ///< a new task
        given,  ///< it was submitted before refuse(), and waited elsewhere
    };
    bool submit(
        BoardTask& task,
        std::span<const std::byte> call,
        Admission admission = Admission::asked
    );

    /// No new tasks from now on.
    void refuse() noexcept;

    /// So many workers there are to be: no more tasks with priorities than that are
    /// ready.
    void set_size(std::uint32_t workers) noexcept;

    bool cancel(BoardTask& task) noexcept override;
    bool is_running(const BoardTask& task) const noexcept override;
    bool help(BoardTask& task, const mp::Deadline& deadline) override;

    StopAnswer stop(BoardTask& task) override;

    void cancelled(const BoardTask& task) noexcept override { kick_waiter_for(&task); }

    // ---- for the manager thread

    /// Takes what workers have finished. Returns how many tasks ended.
    std::size_t drain() noexcept;

    /// Runs the callbacks of what ended; returns how many futures had some. Requires:
    /// no lock of the program is held.
    std::size_t run_callbacks();

    /// Any thread: tells the future of a task that never was on the board how it ended,
    /// and leaves the callbacks to the manager.
    void conclude_unplaced(BoardTask& task) noexcept;
    /// Whether callbacks wait, or one is running; then the doorbell is rung after them.
    bool has_callbacks_left();

    /// Asks the tasks that threw whether they are to be run again, and tells or queues
    /// them. Requires: as run_callbacks().
    void settle_thrown() noexcept;

    /// Tasks may wait for their time from now on. The first call makes a descriptor
    /// that is readable when the time of one has come, for `watch`. Throws
    /// std::system_error, and what `watch` throws.
    void allow_delays(const std::function<void(int)>& watch);

    /// To be called then.
    void end_delays() noexcept;

    /// Says that this thread is about to sleep on the doorbell. Returns false if there
    /// is something to drain first.
    bool enlist_manager() noexcept;

    /// Whether results may come that no client looks for.
    bool manager_needed() const noexcept {
        // order: a hint, looked at again and again.
        return awake_.load(std::memory_order_relaxed) == 0 && outstanding() > 0;
    }

    /// It no longer sleeps.
    void manager_woke() noexcept;

    /// Says that this thread is the manager. When a callback that runs in it waits for
    /// a future, `turn` is called: sleep until the deadline or the doorbell, and do
    /// what the manager does.
    using Turn = std::function<void(const mp::Deadline&)>;
    void set_manager(Turn turn);

    /// Whether this thread said so.
    bool managed_here() const noexcept;

    /// For the tick: wakes all workers if nobody has moved although work is there, and
    /// looks whether what the board says can be true. Returns true once the pool has
    /// been idle for a while: then call trim().
    bool guard() noexcept;

    /// Idle workers give memory back to the system.
    void trim() noexcept;

    /// A worker's index has a new process, which starts after this.
    void prepare(std::uint32_t worker, std::shared_ptr<ResultArenaReader> arena);

    /// A worker left the exception of its initializer, and is gone: that exception,
    /// encoded. Nothing if it left none.
    Message initializer_failure(std::uint32_t worker);

    /// A worker's process is gone. If it had a result ready and was to destroy what the
    /// call had used, that result counts as told.
    void take_ready_result(std::uint32_t worker) noexcept;

    /// A worker's process is gone. Delivers what it had finished, gives back what it
    /// had only claimed, asks `verdict` about the rest. Returns how many were running.
    std::size_t recover(std::uint32_t worker, const Verdict& verdict);

    /// How many results of a worker were taken, with those that wait.
    std::uint64_t told_by(std::uint32_t worker) noexcept;

    /// Says its ring what cannot be true? Then somebody wrote over it, nothing that
    /// stands there can be believed, and no more of it is read; it is to be killed.
    bool is_faulty(std::uint32_t worker) const noexcept {
        return rings_[worker].faulty.load();
    }

    /// The same, for what it says elsewhere: from now on it is not believed.
    void kill_worker_of(std::uint32_t worker) noexcept { distrust(worker); }

    // -- tasks that tasks have submitted (board_nested.cpp)

    /// Whether a worker asks for something over its link; a few loads.
    bool is_asked() const noexcept {
        // order: hints, as any_result(); take_asking() looks with the order it needs.
        const std::uint32_t used = used_.load(std::memory_order_relaxed);
        for (std::uint32_t first = 0; first < used; first += 64) {
            // order: as above.
            if (view_.header()
                    .asking.word(first / 64)
                    .load(std::memory_order_relaxed) != 0) {
                return true;
            }
        }
        return false;
    }

    /// Shows those that do, which is forgotten.
    void visit_asking(const std::function<void(std::uint32_t)>& visitor);
    /// The worker had more to ask.
    void ask_again(std::uint32_t worker) noexcept;

    /// So many workers more than usual there may be.
    void tell_of_spares(std::uint32_t count) noexcept {
        view_.header().has_spares.store(count);
    }

    /// Whether no worker has the task, and one may.
    bool is_queued(const BoardTask& task) const noexcept;

    /// Which worker has it, if one does.
    std::optional<std::uint32_t> worker_with(const BoardTask& task) const noexcept;

    /// Takes a task that is queued; its call stands in its message then. It counts as
    /// concluded. False: a worker has it, or it is over.
    bool take_queued_task(BoardTask& task) noexcept;

    /// Lets it be the next one that a worker takes, if it is queued.
    void let_go_first(BoardTask& task) noexcept;

    /// It is the next one for the workers after all. False: nothing is run any more.
    bool run_after_all(BoardTask& task) noexcept;

    /// It was run elsewhere, and `end` is set.
    void conclude_taken(BoardTask& task) noexcept;

    /// What is below this position a worker has told the end of.
    std::uint64_t finished_below(std::uint32_t worker) const noexcept;

    /// What of the board was written over, so that its tasks can no longer be found;
    /// null if nothing is known of that. The pool is to be broken.
    const char* damage() const noexcept { return damage_.load(); }

    /// Shows each task that a worker has, and that worker. Claimed ones, too: they run
    /// at once, unless somebody wrote over that. It is not concluded meanwhile.
    void visit_taken(const std::function<void(BoardTask&, std::uint32_t)>& visitor);

    // -- for the manager: tasks that run too long, or are to stop (board_stop.cpp)

    /// Whether there is a reason to look at them; forgets it.
    bool take_look_wanted() noexcept;

    /// Any thread: there is a reason.
    void want_look() noexcept { look_wanted_.store(true); }

    /// A limited task that begins after this rings; one that began before is seen.
    void begin_look() noexcept;

    /// The look is over, and the next one will be then.
    void end_look(std::chrono::steady_clock::time_point next) noexcept;

    /// Since when a worker says that it has the limited task at that position; nothing
    /// if it does not. It may say anything.
    std::optional<std::chrono::steady_clock::time_point>
    limited_since(std::uint32_t worker, std::uint64_t position) const noexcept;

    /// Tells the task there, if the worker still has it, that it is to stop.
    void ask_to_stop(std::uint32_t worker, std::uint64_t position) noexcept;

    LimitTimer& limit_timer() noexcept { return limit_timer_; }

    /// Ends all that is not finished, and refuses what comes. Requires: drained.
    void fail_all(const Verdict& verdict) noexcept;

    /// As it was made, whatever stands there now. Requires: fail_all() was called, no
    /// worker has it.
    void renew() noexcept;

    /// Takes back all that no worker has claimed.
    /// Call cancel_future() for each.
    std::vector<BoardTask*> take_queued();

    /// Tells the workers to end once they are idle.
    void stop_workers() noexcept;
    void kick_workers() noexcept;

    /// Tells a worker to end once it has done its task.
    void retire_worker(std::uint32_t worker) noexcept;

    /// Takes that back. False: it has begun to end.
    bool keep_worker(std::uint32_t worker) noexcept;

    /// Has it had nothing to do for as long as it was told to wait?
    bool has_idled(std::uint32_t worker) const noexcept {
        return view_.control(worker).idled.load() != 0;
    }

    /// While it is so, each worker rings the doorbell when it is ready for tasks.
    void want_ready(bool wanted) noexcept {
        view_.header().ready_wanted.store(wanted ? 1 : 0);
    }

    /// Workers have indices below this so far.
    std::uint32_t places_used() const noexcept { return used_.load(); }

    // ---- for both

    const mp::detail::EventFd& doorbell() const noexcept { return doorbell_; }

    GuardTimer& guard_timer() noexcept { return *guard_timer_; }

    /// For arenas, whose messages may outlive the board.
    const std::shared_ptr<GuardTimer>& idle_timer() const noexcept {
        return guard_timer_;
    }

    const mp::detail::Segment& segment() const noexcept { return segment_; }

    BoardView view() const noexcept { return view_; }

    const BoardOptions& options() const noexcept { return options_; }

    /// Tasks that are not finished. Exact for whoever knows that nobody submits.
    std::uint64_t outstanding() const noexcept {
        // order: acquire pairs with conclude() and cancel(), so that what is concluded
        // was submitted.
        const auto concluded = concluded_.load(std::memory_order_acquire);
        // order: a count; a stale one is corrected at the next look.
        return submitted_.load(std::memory_order_relaxed) - concluded;
    }

    /// Of these, what workers can do now or soon: not what waits for its time.
    std::uint64_t runnable() const noexcept {
        const std::uint64_t all = outstanding();
        const std::uint64_t delayed = delayed_count_.load();
        return all > delayed ? all - delayed : 0;
    }

    bool needs_workers() const noexcept { return runnable() > 0; }

    BoardStatistics statistics() const;

private:
    using Index = std::uint64_t;

    Index index_of(std::uint64_t position) const noexcept {
        return position & (options_.slots - 1);
    }

    // board.cpp
    void write_header() noexcept;
    bool place(BoardTask& task, std::span<const std::byte> call) MP_REQUIRES(mutex_);
    void put_in_backlog(BoardTask& task, std::span<const std::byte> call)
        MP_REQUIRES(mutex_);
    void
    put(CallItem& item,
        std::uint64_t position,
        BoardTask& task,
        std::span<const std::byte> call) noexcept MP_REQUIRES(mutex_);
    void refill() noexcept MP_EXCLUDES(mutex_);

    // board_turns.cpp
    bool put_back(BoardTask& task) noexcept MP_REQUIRES(drain_mutex_)
        MP_EXCLUDES(mutex_);
    void queue_again(BoardTask& task) noexcept MP_REQUIRES(mutex_);
    bool delay(BoardTask& task) noexcept MP_REQUIRES(mutex_);
    void arm_delay_timer() noexcept MP_REQUIRES(mutex_);
    void submit_ranked(BoardTask& task, std::span<const std::byte> call)
        MP_REQUIRES(mutex_);
    bool add_ranked(BoardTask& task) noexcept MP_REQUIRES(mutex_);
    void rank_all() noexcept MP_REQUIRES(mutex_);
    void keep_or_rank(BoardTask& task) noexcept MP_REQUIRES(mutex_);
    void take_back_below(int priority) noexcept MP_REQUIRES(mutex_);
    BoardTask* take_back(std::uint64_t position) noexcept MP_REQUIRES(mutex_);
    std::uint64_t first_ready() const noexcept MP_REQUIRES(mutex_);
    std::uint64_t place_ranked() noexcept MP_REQUIRES(mutex_);
    void remove_waiting(BoardTask& task) noexcept MP_REQUIRES(mutex_);
    void gather_waiting() noexcept MP_REQUIRES(mutex_);

    // board_nested.cpp
    bool take_queued_locked(BoardTask& task) noexcept MP_REQUIRES(mutex_);

    // board_wake.cpp
    void wake_for_work(std::uint64_t tail) noexcept;

    // board_results.cpp
    /// How far a worker's ring was read: the parent's own, which no worker can reach.
    struct RingState {
        std::atomic<std::uint64_t> read{0};
        std::atomic<bool> faulty{false};
        /// Its worker has no task below this position any more: it claims growing ones,
        /// and tells the result of each before it claims the next. Guarded by
        /// drain_mutex_.
        std::uint64_t finished_below = 0;
    };

    bool any_result() const noexcept;
    std::size_t try_drain() noexcept;
    std::size_t drain_all() noexcept MP_REQUIRES(drain_mutex_);
    std::size_t drain_ring(std::uint32_t worker) noexcept MP_REQUIRES(drain_mutex_);
    void distrust(std::uint32_t worker) noexcept;
    bool take_result(BoardTask& task, const ResultItem& item, RingPlace place) noexcept
        MP_REQUIRES(drain_mutex_);
    bool
    take_any_result(BoardTask& task, const ResultItem& item, RingPlace place) noexcept
        MP_REQUIRES(drain_mutex_);
    bool take_block(BoardTask& task, const ResultItem& item, ResultArenaReader& arena)
        MP_REQUIRES(drain_mutex_);
    void conclude(BoardTask& task) noexcept MP_REQUIRES(drain_mutex_);
    void tell_by_manager(BoardTask& task) noexcept MP_REQUIRES(drain_mutex_);
    void tell_end(BoardTask& task) noexcept MP_REQUIRES(drain_mutex_);

    // board_recovery.cpp
    /// What a worker leaves behind.
    struct Leftovers {
        std::vector<BoardTask*> claimed;
        std::vector<BoardTask*> running;
    };

    Leftovers leftovers_of(std::uint32_t worker) MP_REQUIRES(drain_mutex_)
        MP_EXCLUDES(mutex_);
    void give_back(BoardTask& task) noexcept MP_REQUIRES(drain_mutex_, mutex_);
    bool take_call_back(BoardTask& task, const Slot& slot) noexcept
        MP_REQUIRES(drain_mutex_, mutex_);
    void clear_bits_of(std::uint32_t worker) noexcept;
    void forget_worker(std::uint32_t worker) noexcept;

    // board_watch.cpp
    void report_damage(const char* what) noexcept;
    void check_header(std::uint64_t head) noexcept MP_REQUIRES(mutex_);
    void check_tasks() noexcept MP_EXCLUDES(drain_mutex_, mutex_);
    const char* impossible_word(
        SlotWord word, std::uint64_t position, std::uint64_t head
    ) const noexcept MP_REQUIRES(drain_mutex_);
    bool can_have(std::uint32_t worker, std::uint64_t position) const noexcept
        MP_REQUIRES(drain_mutex_);
    bool has_bits(std::uint32_t worker) const noexcept;
    bool is_asleep(std::uint32_t worker) const noexcept;
    void check_workers_share(std::uint32_t worker) noexcept MP_REQUIRES(drain_mutex_);
    void check_wait_for_room(std::uint32_t worker) noexcept MP_REQUIRES(drain_mutex_);

    // board_wait.cpp
    void stay_awake() noexcept;
    void leave() noexcept;
    void enlist() noexcept;
    bool spin(BoardTask& task) noexcept;
    void lead(BoardTask& task, const mp::Deadline& deadline) noexcept;
    void wait_in_manager(BoardTask& task, const mp::Deadline& deadline);
    void kick_leader() noexcept;
    void kick_waiter_for(const BoardTask* task) noexcept;

    // Set once in the constructor.
    const mp::detail::Creator creator_;
    BoardOptions options_;
    mp::detail::Segment segment_;
    BoardView view_;
    Slot* slots_;

    // The manager's own.
    Turn turn_;
    int in_callbacks_ = 0;  ///< calls of run_callbacks() under way
    bool ring_after_callbacks_ = false;
    std::uint32_t ticks_to_check_ = 0;
    std::int64_t next_look_ = 0;  ///< what the header is to say
    LimitTimer limit_timer_;

    // Own synchronisation.
    std::shared_ptr<GuardTimer> guard_timer_;
    mp::detail::EventFd doorbell_;
    std::unique_ptr<std::atomic<BoardTask*>[]> slot_tasks_;  ///< null: a free slot
    std::unique_ptr<RingState[]> rings_;                     ///< by worker
    std::atomic<std::uint64_t> submitted_{0};
    std::atomic<std::uint64_t> concluded_{0};
    std::atomic<std::uint64_t> backlog_size_{0};  ///< with those that are ranked
    std::atomic<std::uint64_t> delayed_count_{0};
    std::atomic<bool> any_thrown_{false};
    std::atomic<std::uint64_t> generation_{1};
    std::atomic<int> awake_{0};  ///< threads that promise to look again
    std::atomic<bool> leading_{
        false};  ///< a client borrowed the manager's registration
    std::atomic<BoardTask*> leader_task_{nullptr};
    std::atomic<BoardTask*> manager_task_{nullptr};  ///< a callback waits for it
    std::atomic<std::uint64_t> worker_wakes_{0};
    std::atomic<std::uint32_t> size_{
        options_.sharers != 0 ? options_.sharers : options_.workers};
    std::atomic<std::uint32_t> used_{
        0};  ///< places that ever had a worker: the first ones
    std::atomic<const char*> damage_{nullptr};
    std::atomic<bool> look_wanted_{false};

    // Guarded by mutex_.
    mutable mp::detail::Mutex mutex_;
    std::uint64_t tail_ MP_GUARDED_BY(mutex_) = 0;
    TaskList backlog_ MP_GUARDED_BY(mutex_);
    DelayedTasks delayed_ MP_GUARDED_BY(mutex_);
    RankedTasks<BoardTask> ranked_ MP_GUARDED_BY(mutex_);
    bool is_ranking_ MP_GUARDED_BY(mutex_) = false;  ///< some task has a priority
    std::uint64_t turns_ MP_GUARDED_BY(mutex_) = 0;
    std::vector<int> placed_priority_ MP_GUARDED_BY(mutex_);  ///< by slot
    mp::UniqueFd delay_timer_ MP_GUARDED_BY(mutex_);  ///< none before it is needed
    bool cancelling_ MP_GUARDED_BY(mutex_) = false;   ///< nothing is run again
    bool refusing_ MP_GUARDED_BY(mutex_) = false;     ///< no new tasks
    bool failed_ MP_GUARDED_BY(mutex_) = false;       ///< fail_all() was called
    std::uint64_t guard_head_ MP_GUARDED_BY(mutex_) = 0;
    // What the header is to say, which nobody but us changes.
    std::uint32_t stop_ MP_GUARDED_BY(mutex_) = 0;
    std::uint32_t trims_ MP_GUARDED_BY(mutex_) = 0;
    BoardStatistics counts_ MP_GUARDED_BY(mutex_);

    // Guarded by drain_mutex_.
    mutable mp::detail::Mutex drain_mutex_;
    std::vector<std::shared_ptr<ResultArenaReader>> arenas_ MP_GUARDED_BY(drain_mutex_);
    TaskList with_callbacks_ MP_GUARDED_BY(drain_mutex_);
    TaskList thrown_ MP_GUARDED_BY(drain_mutex_);  ///< to be asked about
    std::uint64_t stray_ MP_GUARDED_BY(drain_mutex_) = 0;
    bool over_ MP_GUARDED_BY(drain_mutex_) = false;  ///< results may have no task
    std::vector<char> has_process_ MP_GUARDED_BY(drain_mutex_);  ///< by worker
    /// By worker, for check_tasks(): how many tasks are said to be with it.
    std::vector<std::uint32_t> held_ MP_GUARDED_BY(drain_mutex_);
};

}  // namespace futures::detail
