// SPDX-License-Identifier: BSL-1.0
#include "process_pool/manager_thread.hpp"

#include "executor/join_at_exit.hpp"
#include "os/check.hpp"
#include "os/signals.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>
#include <sys/epoll.h>

#include <array>
#include <new>

namespace futures::detail {

namespace os = mp::os;

namespace {

/// Whose thread this is.
thread_local const ManagerThread* managed_here = nullptr;

constexpr std::uint64_t doorbell_key = ~std::uint64_t{0};
constexpr std::uint64_t guard_key = doorbell_key - 1;

void add(int epoll, int fd, std::uint64_t key) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = key;
    os::check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

}  // namespace

ManagerThread::ManagerThread(Board& board, ManagerDuties& duties)
    : board_(board),
      duties_(duties),
      epoll_(os::check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    add(epoll_.get(), board_.doorbell().fileno(), doorbell_key);
    add(epoll_.get(), board_.guard_timer().fileno(), guard_key);
}

ManagerThread::~ManagerThread() {
    join();
}

void ManagerThread::start(std::shared_ptr<void> owner) {
    const os::SignalsBlocked blocked;  // signals are the program's threads' business
    const mp::detail::MutexLock lock(join_mutex_);
    thread_ = std::thread([this, keep = std::move(owner)] { loop(); });
}

void ManagerThread::join() {
    const mp::detail::MutexLock lock(join_mutex_);
    if (thread_.joinable()) {
        thread_.join();
    }
}

bool ManagerThread::is_current() const noexcept {
    return managed_here == this;
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
    add(epoll_.get(), pidfd, worker);
}

void ManagerThread::unwatch(int pidfd) noexcept {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pidfd, nullptr);
}

void ManagerThread::loop() noexcept {
    const mp::detail::LibraryThread ours;
    managed_here = this;
    pthread_setname_np(pthread_self(), "mp-pool");
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
    const int turns = yields_.worthwhile() ? board_.options().policy.yields : 0;
    for (int turn = 0; turn < turns && board_.manager_needed(); ++turn) {
        if (board_.drain() > 0) {
            return true;
        }
        if (yields_.was_slow()) {
            return false;
        }
    }
    return false;
}

void ManagerThread::look(const mp::Deadline& deadline) noexcept {
    std::array<epoll_event, 16> events{};
    const int ready = os::restarting([&] {
        return epoll_wait(
            epoll_.get(),
            events.data(),
            static_cast<int>(events.size()),
            deadline.poll_milliseconds()
        );
    });
    board_.manager_woke();
    for (int i = 0; i < ready; ++i) {
        const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
        if (key == doorbell_key) {
            board_.doorbell().answer();
        } else if (key == guard_key) {
            board_.guard();
        } else {
            duties_.worker_gone(static_cast<std::uint32_t>(key));
        }
    }
    if (ready > 0) {
        going_ = duties_.housekeeping() && going_;
    }
}

}  // namespace futures::detail
