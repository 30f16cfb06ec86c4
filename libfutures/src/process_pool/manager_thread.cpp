// SPDX-License-Identifier: BSL-1.0
#include "process_pool/manager_thread.hpp"

#include "executor/exit_hook.hpp"
#include "os/signals.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>

#include <new>
#include <system_error>

namespace futures::detail {

namespace os = mp::os;

namespace {

// What epoll reports; the pidfd of a worker has the worker's index.
constexpr std::uint64_t doorbell_tag = ~std::uint64_t{0};
constexpr std::uint64_t guard_tag = doorbell_tag - 1;

}  // namespace

ManagerThread::ManagerThread(Board& board, ManagerDuties& duties)
    : board_(board), duties_(duties) {
    epoll_.add(board_.doorbell().fileno(), doorbell_tag);
    epoll_.add(board_.guard_timer().fileno(), guard_tag);
}

ManagerThread::~ManagerThread() {
    join();
}

void ManagerThread::start(std::shared_ptr<void> keep_alive) {
    const os::SignalsBlocked blocked;  // signals are the program's threads' business
    const mp::detail::MutexLock lock(join_mutex_);
    thread_ = std::thread([this, keep = std::move(keep_alive)] { loop(); });
}

void ManagerThread::join() {
    const mp::detail::MutexLock lock(join_mutex_);
    if (thread_.joinable()) {
        thread_.join();
    }
}

bool ManagerThread::is_current() const noexcept {
    return board_.managed_here();
}

void ManagerThread::join_at_exit() {
    const mp::detail::MutexLock lock(join_mutex_);
    detail::join_at_exit(std::move(thread_));
}

void ManagerThread::abandon() noexcept MP_NO_THREAD_SAFETY_ANALYSIS {
    // A std::thread that is joinable may not be destroyed; this one exists no more.
    new (&thread_) std::thread();
}

void ManagerThread::watch(std::uint32_t worker, int pidfd) {
    epoll_.add(pidfd, worker);
}

void ManagerThread::unwatch(int pidfd) noexcept {
    epoll_.remove(pidfd);
}

void ManagerThread::loop() noexcept {
    const mp::detail::LibraryThread ours;
    pthread_setname_np(pthread_self(), "mp-pool");
    are_this_threads();
    board_.set_manager([this](const mp::Deadline& deadline) { turn(deadline); });
    going_ = duties_.housekeeping();
    while (going_) {
        turn(mp::Deadline(mp::forever));
    }
}

/// Drains, runs callbacks, then looks a little longer before it sleeps.
void ManagerThread::turn(const mp::Deadline& deadline) noexcept {
    // In a flood of results, workers still die and want to be replaced.
    constexpr int busy_turns = 64;
    const bool results = board_.drain() > 0 || spin();
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
    while (board_.manager_needed() && search.again()) {
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
            board_.guard();
        } else {
            duties_.worker_gone(static_cast<std::uint32_t>(tag));
        }
    }
    if (!ready.empty()) {
        going_ = duties_.housekeeping() && going_;
    }
}

}  // namespace futures::detail
