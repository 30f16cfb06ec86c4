// SPDX-License-Identifier: BSL-1.0
#include "process_pool/manager_thread.hpp"

#include "mp/detail/forced_unwind.hpp"

#include "executor/exit_hook.hpp"
#include "os/signals.hpp"
#include "util/diagnostics.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>

#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace futures::detail {

namespace os = mp::os;

namespace {

// What epoll reports; the pidfd of a worker has the worker's index.
constexpr std::uint64_t doorbell_tag = ~std::uint64_t{0};
constexpr std::uint64_t guard_tag = doorbell_tag - 1;
constexpr std::uint64_t steps_tag = doorbell_tag - 2;
constexpr std::uint64_t limit_tag = doorbell_tag - 3;
constexpr std::uint64_t delays_tag = doorbell_tag - 4;

}  // namespace

ManagerThread::ManagerThread(Board& board, ManagerDuties& duties)
    : board_(board), duties_(duties) {
    epoll_.add(board_.doorbell().fileno(), doorbell_tag);
    epoll_.add(board_.guard_timer().fileno(), guard_tag);
    epoll_.add(board_.limit_timer().fileno(), limit_tag);
}

ManagerThread::~ManagerThread() {
    join();
}

void ManagerThread::start(const std::shared_ptr<void>& keep_alive) {
    const mp::detail::MutexLock lock(thread_mutex_);
    start_locked(keep_alive);
}

void ManagerThread::start_locked(const std::shared_ptr<void>& keep_alive) {
    const os::SignalsBlocked blocked;  // signals are the program's threads' business
    threads_.reserve(threads_.size() + 1);
    threads_.emplace_back(
        [this, keep = keep_alive, counted = mp::detail::LibraryThread()] { run(keep); }
    );
}

std::thread ManagerThread::next_to_join() {
    const mp::detail::MutexLock lock(thread_mutex_);
    std::thread next;
    if (!threads_.empty()) {
        next = std::move(threads_.front());
        threads_.erase(threads_.begin());
    }
    return next;
}

void ManagerThread::join() {
    const mp::detail::MutexLock joining(join_mutex_);
    // One that ended itself in a callback has started the next one before.
    for (std::thread next = next_to_join(); next.joinable(); next = next_to_join()) {
        next.join();
    }
}

bool ManagerThread::is_current() const noexcept {
    return board_.managed_here();
}

void ManagerThread::turn_once() {
    turn(mp::Deadline(mp::forever));
}

void ManagerThread::join_at_exit() {
    left_to_exit_ = true;
    for (std::thread next = next_to_join(); next.joinable(); next = next_to_join()) {
        detail::join_at_exit(std::move(next));
    }
}

void ManagerThread::abandon() noexcept MP_NO_THREAD_SAFETY_ANALYSIS {
    // A std::thread that is joinable may not be destroyed; these exist no more.
    new (&threads_) std::vector<std::thread>();
}

void ManagerThread::watch(std::uint32_t worker, int pidfd) {
    epoll_.add(pidfd, worker);
}

void ManagerThread::unwatch(int pidfd) noexcept {
    epoll_.remove(pidfd);
}

void ManagerThread::watch_steps(int timer) {
    epoll_.add(timer, steps_tag);
}

void ManagerThread::watch_delays() {
    board_.allow_delays([this](int timer) { epoll_.add(timer, delays_tag); });
}

void ManagerThread::run(const std::shared_ptr<void>& keep_alive) {
    pthread_setname_np(pthread_self(), "mp-pool");
    try {
        loop();
    } catch (const mp::detail::ForcedUnwind&) {
        // A callback called pthread_exit(). Another thread goes on, or else this one,
        // as long as it is needed.
        if (!replace(keep_alive)) {
            loop();
        }
        throw;
    }
}

bool ManagerThread::replace(const std::shared_ptr<void>& keep_alive) noexcept {
    try {
        const mp::detail::MutexLock lock(thread_mutex_);
        start_locked(keep_alive);
    } catch (const std::exception& error) {
        mp::detail::log_error(
            std::string("no thread can be had in place of one that a callback ended: "
            ) +
            error.what()
        );
        return false;
    }
    if (left_to_exit_) {
        join_at_exit();
    }
    return true;
}

void ManagerThread::loop() {
    are_this_threads();
    board_.set_manager([this](const mp::Deadline& deadline) { turn(deadline); });
    going_ = duties_.housekeeping();
    while (going_) {
        turn(mp::Deadline(mp::forever));
    }
    // The last look may have ended futures: those of a worker that died last.
    board_.run_callbacks();
}

/// Drains, runs callbacks, then looks a little longer before it sleeps.
void ManagerThread::turn(const mp::Deadline& deadline) {
    // In a flood of results, workers still die and want to be replaced.
    constexpr int busy_turns = 64;
    const bool results = board_.drain() > 0 || spin();
    if (board_.is_asked()) {
        duties_.asked();
    }
    board_.settle_thrown();
    const std::size_t callbacks = board_.run_callbacks();
    if (results && ++busy_turns_ < busy_turns) {
        return;
    }
    if (busy_turns_ >= busy_turns) {
        look(mp::Deadline(mp::Timeout(std::chrono::seconds(0))));
    } else if (callbacks == 0 && board_.enlist_manager()) {
        // After callbacks it does not sleep yet: one that waited for a future of the
        // pool took turns of its own, and may have taken the result that this turn is
        // for.
        look(deadline);
    }
    busy_turns_ = 0;
}

/// Returns true if results came meanwhile.
bool ManagerThread::spin() noexcept {
    mp::detail::Search search(
        spins_, {.pauses = 0, .yields = board_.options().policy.yields}
    );
    while (board_.manager_needed() && !board_.is_asked() && search.again()) {
        if (board_.drain() > 0) {
            return true;
        }
    }
    return false;
}

void ManagerThread::look(const mp::Deadline& deadline) noexcept {
    std::error_code ignored;
    const os::Epoll::Ready ready = epoll_.wait(deadline, ignored);
    board_.manager_woke();
    for (const std::uint64_t tag : ready.tags()) {
        if (tag == doorbell_tag) {
            board_.doorbell().take();
        } else if (tag == guard_tag) {
            if (board_.guard()) {
                duties_.idle();
            }
        } else if (tag == steps_tag) {
            duties_.step_due();
        } else if (tag == limit_tag) {
            board_.limit_timer().answer();
            board_.want_look();
        } else if (tag == delays_tag) {
            board_.end_delays();
        } else {
            duties_.worker_gone(static_cast<std::uint32_t>(tag));
        }
    }
    if (!ready.empty()) {
        going_ = duties_.housekeeping() && going_;
    }
}

}  // namespace futures::detail
