// SPDX-License-Identifier: BSL-1.0
#include "mpi/mpi_pool_core.hpp"

#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "executor/exit_hook.hpp"
#include "future/ready.hpp"
#include "mpi/rank_environment.hpp"
#include "util/diagnostics.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

namespace {

constexpr std::int64_t most_credits = 1000;
constexpr const char* variable = "LIBMP_MPI_MAX_WORKERS";

[[noreturn]] void throw_exiting() {
    throw mp::StateError("no new work is accepted: the program is exiting");
}

std::ptrdiff_t checked_workers(const MPIPoolOptions& options) {
    if (options.max_workers) {
        if (options.max_workers->value() < 1) {
            throw std::invalid_argument(
                "max_workers must be at least 1, not " +
                std::to_string(options.max_workers->value())
            );
        }
        return options.max_workers->value();
    }
    const char* const text = std::getenv(variable);
    if (text == nullptr || *text == '\0') {
        return PTRDIFF_MAX;
    }
    std::ptrdiff_t number = 0;
    const char* const end = text + std::strlen(text);
    const auto read = std::from_chars(text, end, number);
    if (read.ec != std::errc() || read.ptr != end || number < 1) {
        throw std::invalid_argument(
            std::string("the environment variable ") + variable +
            " must be a number above 0, not \"" + text + "\""
        );
    }
    return number;
}

MPIPoolOptions checked(MPIPoolOptions options) {
    checked_workers(options);
    check_backoff(options.backoff);
    if (options.credits &&
        (options.credits->value() < 1 || options.credits->value() > most_credits)) {
        throw std::invalid_argument(
            "credits must be between 1 and 1000, not " +
            std::to_string(options.credits->value())
        );
    }
    if (options.workers_per_rank && (options.workers_per_rank->value() < 1 ||
                                     options.workers_per_rank->value() > 512)) {
        throw std::invalid_argument(
            "workers_per_rank must be between 1 and 512, not " +
            std::to_string(options.workers_per_rank->value())
        );
    }
    if (options.max_pending.value() < 0) {
        throw std::invalid_argument(
            "max_pending must be at least 0, not " +
            std::to_string(options.max_pending.value())
        );
    }
    if (options.initializer.carried() != nullptr) {
        throw std::invalid_argument(
            "the initializer of an MPIPoolExecutor takes along what the processes of "
            "one machine share, which other machines do not reach"
        );
    }
    return options;
}

}  // namespace

void check_backoff(const mp::Timeout& backoff) {
    if (backoff.duration() <= std::chrono::nanoseconds::zero() ||
        backoff.is_forever()) {
        throw std::invalid_argument(
            "backoff must be more than 0 seconds, and not mp::forever"
        );
    }
}

MPIPool::MPIPool(std::shared_ptr<Farm> farm, MPIPoolOptions options)
    : farm_(std::move(farm)),
      options_(checked(std::move(options))),
      members_(static_cast<std::uint32_t>(std::min<std::size_t>(
          static_cast<std::size_t>(checked_workers(options_)), farm_->size()
      ))),
      counts_(members_),
      at_(members_) {
    if (mp::detail::exiting()) {
        throw_exiting();
    }
    OpenExecutor open;
    open.is_isolated = is_isolated() ? 1 : 0;
    open.members = members_;
    open.workers = static_cast<std::uint32_t>(
        options_.workers_per_rank ? options_.workers_per_rank->value() : 0
    );
    const auto initializer = options_.initializer.bytes();
    opening_.resize(sizeof open + initializer.size());
    std::memcpy(opening_.data(), &open, sizeof open);
    std::copy(initializer.begin(), initializer.end(), opening_.begin() + sizeof open);
    for (std::uint32_t peer = 0; peer < members_; ++peer) {
        const RankInfo& info = farm_->rank(peer);
        counts_[peer].rank = info.rank;
        counts_[peer].host = info.host;
        counts_[peer].pid = info.pid;
    }
}

// ---- for the executor

void MPIPool::throw_broken() const {
    std::rethrow_exception(error_locked());
}

void MPIPool::check_accepting() const {
    if (!creator_.is_here()) {
        throw mp::StateError(
            "this MPIPoolExecutor belongs to the process that made it: a forked child "
            "cannot use it"
        );
    }
    // order: a submit() while it changes may come before or after.
    if (accepting_.load(std::memory_order_relaxed)) {
        return;
    }
    const MutexLock lock(mutex_);
    if (!broken_.empty()) {
        throw_broken();
    }
    throw mp::StateError("the MPIPoolExecutor was shut down: it takes no new work");
}

void MPIPool::complete(SubmitOptions& options) const {
    if (is_isolated()) {
        return;
    }
    const char* const what = !options.timeout.is_forever() ? ".timeout"
                             : options.kill_after          ? ".kill_after"
                             : options.limits.any()        ? ".limits"
                                                           : nullptr;
    if (what != nullptr) {
        throw std::invalid_argument(
            std::string(what) +
            " needs workers that can be ended without the rank: make the executor with "
            ".isolation = futures::Isolation::process"
        );
    }
}

/// The first submit(). The farm's thread is there from now on.
void MPIPool::begin() {
    const MutexLock lock(mutex_);
    if (begun_ || !accepting_) {
        return;
    }
    if (mp::detail::exiting()) {
        throw_exiting();
    }
    const int part = detail::finish_at_exit(weak_from_this());
    try {
        detail::give_up_at_exit(weak_from_this(), part);
        farm_->add(shared_from_this());
    } catch (...) {
        mp::detail::drop_exit_part(part);
        throw;
    }
    exit_part_ = part;
    begun_ = true;
}

void MPIPool::wait_for_space() {
    const auto most = static_cast<std::size_t>(options_.max_pending.value());
    if (most == 0 || !farm_->may_wait_here()) {
        return;
    }
    while (accepting_ && queue_.size() >= most) {
        changed_.wait(mutex_);
    }
}

void MPIPool::submit_call(
    PoolTask& task, std::span<const std::byte> call, bool /*a_chunk*/
) {
    begin();
    note_submitted(task, call, false);
}

void MPIPool::submit_waiting(PoolTask& task, std::span<const std::byte> call) {
    note_submitted(task, call, true);
}

/// `is_late`: it was submitted before, and waited.
void MPIPool::note_submitted(
    PoolTask& task, std::span<const std::byte> call, bool is_late
) {
    if (!call.empty()) {
        task.message.assign(call);
    }
    {
        const MutexLock lock(mutex_);
        if (!is_late) {
            wait_for_space();
        }
        if (!broken_.empty()) {
            throw_broken();
        }
        if (is_late || accepting_) {
            if (!queue_.add(task)) {
                throw std::bad_alloc();
            }
            ++submitted_;
            pending_ = queue_.size();
            call = {};
            is_late = true;
        }
    }
    if (!is_late) {
        task.message.clear();
        check_accepting();
    }
    farm_->ring();
}

void MPIPool::await(WaitingTask& task) {
    begin();
    if (!waiting_.add(task)) {
        check_accepting();
        throw mp::StateError("the MPIPoolExecutor was shut down: it takes no new work");
    }
}

std::vector<BoardTask*> MPIPool::take_queued() {
    std::vector<BoardTask*> taken;
    const MutexLock lock(mutex_);
    taken.reserve(queue_.size());
    while (BoardTask* const task = queue_.take_any()) {
        task->taken_back = true;
        // Whoever cancels it in the meantime may drop it.
        task->future_state()->add_reference();
        taken.push_back(task);
    }
    concluded_ += taken.size();
    pending_ = 0;
    changed_.notify_all();
    return taken;
}

void MPIPool::shutdown(ShutdownOptions options) {
    if (!creator_.is_here()) {
        return;
    }
    refuse();
    bool is_idle = false;
    {
        const MutexLock lock(mutex_);
        over_ = over_ || !begun_;
        is_idle = over_;
        changed_.notify_all();
    }
    if (options.cancel_futures) {
        waiting_.cancel_all();
        for (BoardTask* const task : take_queued()) {
            const StatePtr<StateBase> kept(task->future_state());
            task->cancel_future();
        }
    }
    farm_->ring();
    if (!is_idle && options.wait && farm_->may_wait_here()) {
        Ready::run_all_here();
        const MutexLock lock(mutex_);
        while (!over_) {
            changed_.wait(mutex_);
        }
    }
}

void MPIPool::close() noexcept {
    if (!creator_.is_here()) {
        return;
    }
    try {
        waiting_.warn_of_hand_made("the end of an MPIPoolExecutor");
        shutdown({});
    } catch (const std::exception& error) {
        mp::detail::log_error(
            std::string("shutting down an MPIPoolExecutor failed: ") + error.what()
        );
    }
}

void MPIPool::finish_at_exit() noexcept {
    if (farm_->is_here()) {
        return;  // it has given up
    }
    if (!farm_->may_wait_here()) {
        // exit() in a task of a job of one rank, which will not end.
        farm_->ask_to_give_up(std::make_exception_ptr(
            BrokenMPIPool("exit() was called in a task: nothing goes on")
        ));
        return;
    }
    try {
        waiting_.warn_of_hand_made("the end of the program");
        shutdown({});
    } catch (const std::exception& error) {
        mp::detail::log_error(
            std::string("an MPIPoolExecutor cannot end: ") + error.what()
        );
    }
}

void MPIPool::give_up_at_exit() noexcept {
    if (farm_->is_here()) {
        farm_->give_up(std::make_exception_ptr(
            BrokenMPIPool("exit() was called in a callback: nothing goes on")
        ));
    }
}

void MPIPool::bootup(bool wait) {
    check_accepting();
    begin();
    boot_wanted_ = true;
    farm_->ring();
    if (!wait) {
        return;
    }
    if (!farm_->may_wait_here()) {
        throw mp::StateError("bootup() in a callback would wait for itself");
    }
    const MutexLock lock(mutex_);
    while (ready_ < members_ && broken_.empty() && !over_) {
        changed_.wait(mutex_);
    }
    if (!broken_.empty()) {
        throw_broken();
    }
}

std::size_t MPIPool::num_workers() const noexcept {
    return accepting_.load() && creator_.is_here() ? members_ : 0;
}

MPIPoolStatistics MPIPool::statistics() const {
    const std::uint64_t ended = waiting_.ended();
    const std::uint64_t waiting = waiting_.size();
    MPIPoolStatistics result;
    result.workers = num_workers();
    const MutexLock lock(mutex_);
    result.submitted = submitted_ + waiting + ended;
    result.concluded = concluded_ + ended;
    result.pending = queue_.size() + waiting;
    result.retried = retried_;
    result.tasks_lost = lost_;
    result.bytes_sent = bytes_sent_;
    result.bytes_received = bytes_received_;
    result.ranks = counts_;
    return result;
}

// ---- for its tasks and their gates

Block MPIPool::grow_call(
    Block& /*block*/,
    std::span<const std::byte> written,
    mp::detail::ByteStore::Room room
) {
    Block larger = block_of(FrameBytes(room.wanted), 0, room.wanted);
    mp::detail::copy_block(larger.bytes().data(), written.data(), written.size());
    return larger;
}

const char* MPIPool::not_given_text() const noexcept {
    return " cannot be an argument of a task of an MPIPoolExecutor: what the processes "
           "of one machine share, other machines do not reach";
}

void MPIPool::conclude_unplaced(BoardTask& task) noexcept {
    farm_->conclude(static_cast<PoolTask&>(task));
}

bool MPIPool::cancel(BoardTask& task) noexcept {
    const MutexLock lock(mutex_);
    if (task.taken_back) {
        return true;
    }
    if (task.is_finished() || task.position != BoardTask::unplaced ||
        !broken_.empty()) {
        return false;
    }
    queue_.remove(task);
    pending_ = queue_.size();
    task.message.clear();
    task.taken_back = true;
    ++concluded_;
    changed_.notify_all();
    return true;
}

/// It was counted, and there may be nothing left to do.
void MPIPool::cancelled(const BoardTask& /*task*/) noexcept {
    farm_->ring();
}

bool MPIPool::is_running(const BoardTask& task) const noexcept {
    const MutexLock lock(mutex_);
    return task.position != BoardTask::unplaced && !task.taken_back;
}

bool MPIPool::help(BoardTask& task, const mp::Deadline& /*deadline*/) {
    if (task.is_finished()) {
        return true;
    }
    if (!creator_.is_here()) {
        throw mp::StateError(
            "this future belongs to an executor of another process, which alone gets "
            "its result: a forked child cannot wait for it"
        );
    }
    return false;
}

StopAnswer MPIPool::stop(BoardTask& task) {
    if (!creator_.is_here()) {
        return StopAnswer::no;
    }
    {
        const MutexLock lock(mutex_);
        if (task.is_finished() || !broken_.empty() || task.position == landed) {
            return StopAnswer::no;
        }
        if (task.taken_back || task.position == BoardTask::unplaced) {
            return StopAnswer::queued;
        }
        if (!is_isolated()) {
            return StopAnswer::no;
        }
        // From here on, whatever comes for it ends it as cancelled.
        task.stop = TaskStop::cancelled;
        stops_.push_back(task.position);
        stops_wanted_ = true;
    }
    farm_->ring();
    return StopAnswer::yes;
}

StopAnswer MPIPool::stop(PoolTask& task) {
    return stop(static_cast<BoardTask&>(task));
}

}  // namespace futures::detail
