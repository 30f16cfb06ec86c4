// SPDX-License-Identifier: BSL-1.0
// Farm: the master's side. One thread sends the tasks of all executors to the ranks,
// takes what comes back, and runs the callbacks. No other thread of this library
// touches the transport.
// Threads: as said.  Life: while an executor, or who made it, has it.
#pragma once

#include "futures/detail/process_task.hpp"
#include "mp/detail/creator.hpp"
#include "mp/thread_safety.hpp"
#include "mp/timeout.hpp"

#include "future/thread_duties.hpp"
#include "mpi/bell.hpp"
#include "mpi/pacing.hpp"
#include "mpi/rank_info.hpp"
#include "mpi/transport.hpp"
#include "process_pool/task_list.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace futures::detail {

class MPIPool;

class Farm final : private FrameSink,
                   private ThreadDuties,
                   public std::enable_shared_from_this<Farm> {
public:
    /// `ranks`: those who serve, in the order of the transport's peers. `bell`: what
    /// the transport rings, if it does.
    Farm(
        std::unique_ptr<Transport> transport,
        std::shared_ptr<Bell> bell,
        std::vector<RankInfo> ranks
    );
    Farm(const Farm&) = delete;
    Farm& operator=(const Farm&) = delete;
    /// Requires: stop(), or a forked child.
    ~Farm();

    // ---- any thread

    std::size_t size() const noexcept { return ranks_.size(); }

    const RankInfo& rank(std::size_t peer) const noexcept { return ranks_[peer]; }

    /// The only worker is that thread of this process.
    void serves_in(std::thread::id worker) noexcept { local_worker_ = worker; }

    /// An executor begins: it gets a number, and turns from now on. The first one
    /// starts the thread. Throws mp::StateError after stop(), BrokenMPIPool,
    /// std::system_error.
    void add(const std::shared_ptr<MPIPool>& pool);

    /// There is something to do.
    void ring() noexcept override { bell_->ring(); }

    /// Whether this is the farm's thread.
    bool is_here() const noexcept;

    /// Whether this thread may wait for tasks: the farm's, and the one that runs them,
    /// would wait for themselves.
    bool may_wait_here() const noexcept;

    bool is_of_this_process() const noexcept { return creator_.is_here(); }

    /// The executors refuse what comes and finish what was submitted; then the ranks
    /// are told that it is over. Waits for that. Not in the farm's thread. Throws
    /// MPIError when the ranks cannot be told.
    void stop();

    /// A rank is gone, so that no collective call would end.
    bool has_lost_ranks() const noexcept { return has_lost_ranks_.load(); }

    /// Tells the future of a task how it ended, and leaves its callbacks to the farm's
    /// thread.
    void conclude(PoolTask& task) noexcept;

    /// Nothing is to go on: all futures fail, a little later.
    void ask_to_give_up(std::exception_ptr cause) noexcept;

    // ---- the farm's thread

    /// The same, now.
    void give_up(const std::exception_ptr& cause) noexcept;

    /// Fails what ranks have of this executor's.
    void abandon_flights_of(MPIPool& pool) noexcept;

private:
    /// Of a flight's number: above it the generation, below its place.
    static constexpr std::uint64_t generation_at = 32;

    /// A task that a rank has, or that is on its way to it or back.
    struct Flight {
        std::shared_ptr<MPIPool> pool;
        PoolTask* task = nullptr;  ///< null: nobody waits for it any more
        Message call;              ///< as long as it is being sent, or may be again
        std::size_t size = 0;      ///< of the call
        Ticket ticket = nothing_sent;
        std::size_t peer = 0;
        std::uint32_t generation = 0;
        bool in_use = false;
    };

    /// What is being sent, and is nothing that is answered.
    struct Leftover {
        Ticket ticket;
        Message message;
        std::shared_ptr<MPIPool> pool;
    };

    // farm.cpp
    void start_thread() MP_REQUIRES(mutex_);
    std::thread next_to_join() MP_EXCLUDES(mutex_);
    bool replace_thread() noexcept MP_EXCLUDES(mutex_);
    void run();
    void loop();
    void turn(const mp::Deadline& deadline) override;
    bool work();
    void take_new_pools();
    void set_pacing() noexcept;
    void take_wish_to_give_up() noexcept;
    bool is_idle() const noexcept;
    bool is_transferring() const noexcept;
    mp::Deadline next_deadline(const mp::Deadline& latest) const;
    bool close_ended_pools();
    void end_ranks();

    // farm_sending.cpp
    bool assign();
    void open_everywhere(MPIPool& pool);
    bool send_one(MPIPool& pool);
    std::optional<std::size_t> free_peer(MPIPool& pool);
    void open_at(MPIPool& pool, std::size_t peer);
    void
    send_task(MPIPool& pool, std::size_t peer, std::uint64_t number, PoolTask& task);
    void send_note(
        std::size_t peer, FrameKind kind, const MPIPool& pool, std::uint64_t task = 0
    );
    std::uint64_t new_flight();
    Flight* flight_of(std::uint64_t number) noexcept;
    void free_flight(Flight& flight) noexcept;
    void settle_tickets();
    bool send_stops();

    // farm_answers.cpp
    void take(
        std::size_t peer, const MessageHead& head, std::span<const std::byte> payload
    ) override;
    void take_long(
        std::size_t peer, const MessageHead& head, FrameBytes bytes, std::size_t offset
    ) override;
    void take_none(std::size_t peer, const MessageHead& head) override;
    void take_loss(std::size_t peer) override;
    void landed(const MessageHead& head, Message result, std::exception_ptr failure);
    void stop_abandoned(const Flight& flight) noexcept;
    void lose(std::uint32_t index, const std::string& what);
    void pool_answer(
        std::size_t peer, const MessageHead& head, std::span<const std::byte> payload
    ) noexcept;
    MPIPool* pool_with(std::uint32_t number) noexcept;
    bool settle_thrown();
    bool run_callbacks();

    // Set once in the constructor.
    const std::unique_ptr<Transport> transport_;
    const std::shared_ptr<Bell> bell_;
    const std::vector<RankInfo> ranks_;
    const mp::detail::Creator creator_;

    // Own synchronisation.
    std::atomic<std::thread::id> local_worker_{};
    std::atomic<std::size_t> callbacks_left_{0};
    std::atomic<bool> has_new_pools_{false};
    std::atomic<bool> is_to_end_{false};
    std::atomic<bool> is_to_give_up_{false};
    std::atomic<bool> has_lost_ranks_{false};

    // Guarded by mutex_.
    mp::detail::Mutex mutex_;
    bool is_stopping_ MP_GUARDED_BY(mutex_) = false;
    /// The last one is the farm's; one before it ended itself in a callback.
    std::vector<std::thread> threads_ MP_GUARDED_BY(mutex_);
    std::uint32_t numbers_ MP_GUARDED_BY(mutex_) = 0;
    std::vector<std::shared_ptr<MPIPool>> new_pools_ MP_GUARDED_BY(mutex_);
    TaskList callbacks_ MP_GUARDED_BY(mutex_);  ///< of tasks that have ended
    std::exception_ptr broken_ MP_GUARDED_BY(mutex_);

    // The thread's own.
    std::vector<std::shared_ptr<MPIPool>> pools_;
    std::size_t turn_of_ = 0;              ///< of these, who is first
    std::vector<std::uint32_t> load_;      ///< flights, by peer
    std::vector<bool> is_gone_;            ///< by peer
    std::vector<std::size_t> awaited_at_;  ///< answers to what is no task, by peer
    std::vector<Flight> flights_;
    std::vector<std::uint32_t> free_flights_;
    std::size_t in_flight_ = 0;
    std::size_t awaited_ = 0;            ///< all of awaited_at_
    std::vector<std::uint64_t> unsent_;  ///< flights whose ticket is not settled
    std::vector<Leftover> leftovers_;
    TaskList thrown_;             ///< whether they run again is to be asked
    PoolTask* asking_ = nullptr;  ///< of these, the one that is asked
    TaskList telling_;            ///< whose callbacks run, one in the other
    bool is_broken_ = false;
    bool messages_fail_ = false;
    Pacing pacing_;
    bool ranks_ended_ = false;
};

}  // namespace futures::detail
