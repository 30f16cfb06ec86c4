// SPDX-License-Identifier: BSL-1.0
// A worker's link to its pool: what comes back, the futures, and the helper.
#include "process_pool/worker_link.hpp"

#include "futures/this_task.hpp"
#include "mp/detail/forced_unwind.hpp"
#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "os/signals.hpp"
#include "util/diagnostics.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace futures::detail {

using mp::detail::FutexScope;
using mp::detail::MutexLock;

namespace {

/// No frame of the parent is longer; it has sums.
constexpr std::uint64_t any_length = std::uint64_t{1} << 40U;

constexpr const char* ends_text =
    "the worker ends whose task has submitted this call to its pool: the result does "
    "not come any more";

}  // namespace

WorkerLink::WorkerLink(
    BoardView view,
    std::uint32_t worker,
    int doorbell,
    const mp::detail::Carried& given,
    const LinkedPool& pool,
    StackRunner& runner
)
    : PoolLink(pool),
      view_(view),
      worker_(worker),
      doorbell_(doorbell),
      given_(given),
      runner_(runner),
      memory_(view.link(worker)),
      asks_(memory_.asks),
      tells_(memory_.tells, any_length) {
    // What a worker before us has left, or anybody has written there. The parent looks
    // at it from `has_link` on.
    memory_.asks.reset();
    memory_.tells.reset();
    memory_.sleeper.store(LinkSleeper::helper);
    memory_.waits_in.store(0);
    start_helper();
    MP_FAILPOINT("link: before it is told of");
    view_.control(worker_).has_link.store(1);
}

WorkerLink::~WorkerLink() {
    if (!creator_.is_here()) {
        for (std::thread& helper : helpers_) {
            helper.detach();  // it is not in this process
        }
        return;
    }
    ending_ = true;
    ring_bell(LinkSleeper::helper);
    for (;;) {
        std::thread next;
        {
            const MutexLock lock(helpers_mutex_);
            if (helpers_.empty()) {
                break;
            }
            next = std::move(helpers_.back());
            helpers_.pop_back();
        }
        next.join();
    }
    // Threads of the program that asked something have their answer.
    for (auto users = users_.load(); users != 0; users = users_.load()) {
        futex_wait(users_, users, mp::Deadline(mp::forever), FutexScope::process);
    }
}

void WorkerLink::enter_task(std::uint64_t position, int priority) noexcept {
    position_ = position;
    priority_ = priority;
    is_this_thread();
}

void WorkerLink::leave_task() noexcept {
    is_no_thread();
}

// ---- the helper

void WorkerLink::start_helper() {
    const mp::os::SignalsBlocked blocked;  // they are the task's business
    const MutexLock lock(helpers_mutex_);
    helpers_.reserve(helpers_.size() + 1);
    helpers_.emplace_back([this, counted = mp::detail::LibraryThread()] {
        try {
            run_helper();
        } catch (const mp::detail::ForcedUnwind&) {
            replace_helper();
            throw;
        }
    });
}

/// A callback has ended the thread: another one goes on. Without one, what comes is
/// settled for nobody who does not wait in the task's thread.
void WorkerLink::replace_helper() noexcept {
    try {
        start_helper();
    } catch (const std::exception& error) {
        mp::detail::log_error(
            std::string("no thread can be had for the callbacks of a task's calls: ") +
            error.what()
        );
        std::abort();  // the pool tells of it, rather than that nobody does
    }
}

void WorkerLink::run_helper() {
    pthread_setname_np(pthread_self(), "mp-link");
    are_this_threads();
    bool last = false;
    do {
        last = ending_;  // once more: what has come has come
        turn_unless([this] { return ending_.load(); }, mp::Deadline(mp::forever));
    } while (!last);
    close();
}

/// No more results and answers come. Some thread of the program may wait for one.
void WorkerLink::close() {
    std::unordered_map<std::uint64_t, NestedCallBase*> left;
    {
        const MutexLock lock(mutex_);
        closed_ = true;
        for (const auto& [ticket, question] : questions_) {
            question->answered = true;
        }
        questions_.clear();
        left.swap(calls_);
        // One that was taken back is for the thread that cancels it.
        std::erase_if(left, [](const auto& call) -> bool {
            return call.second->taken_back;
        });
    }
    ring_bell(LinkSleeper::helper);  // who has asked
    for (const auto& [number, call] : left) {
        if (call->settle(std::make_exception_ptr(mp::StateError(ends_text)))) {
            const MutexLock lock(mutex_);
            with_callbacks_.push_back(call);
        }
    }
    run_callbacks();
}

/// A callback that waits for futures comes here.
void WorkerLink::turn(const mp::Deadline& deadline) {
    turn_in_callback([] { return false; }, deadline);
}

/// Throws mp::StateError when the worker ends, and this one would keep it from that.
void WorkerLink::turn_in_callback(
    const std::function<bool()>& over, const mp::Deadline& deadline
) {
    const auto over_or_ending = [&] {
        return over() || ending_.load();
    };
    if (!turn_unless(over_or_ending, deadline) && ending_ && !over()) {
        throw mp::StateError(ends_text);
    }
}

/// Unless it is over it sleeps when there is nothing to do. Whether there was.
bool WorkerLink::turn_unless(
    const std::function<bool()>& over, const mp::Deadline& deadline
) {
    auto& bell = bell_of(LinkSleeper::helper);
    const std::uint32_t seen = bell.load();
    const bool some = drain();
    if (run_callbacks() != 0 || some) {
        return true;
    }
    if (!over()) {
        futex_wait(bell, seen, deadline, FutexScope::shared);
    }
    return false;
}

/// Sequentially consistent with who waits: it says that it waits, then looks whether it
/// has what it waits for; the caller has taken that, and looks whether somebody waits.
void WorkerLink::wake_bell_waits() noexcept {
    if (bell_waits_.load() != 0) {
        ring_bell(LinkSleeper::helper);
    }
}

void WorkerLink::ring_bell(LinkSleeper who) noexcept {
    auto& bell = bell_of(who);
    bell.fetch_add(1);
    futex_wake(bell, mp::detail::everybody, FutexScope::shared);
}

std::size_t WorkerLink::run_callbacks() {
    for (std::size_t ran = 0;; ++ran) {
        NestedCallBase* call = nullptr;
        {
            const MutexLock lock(mutex_);
            if (with_callbacks_.empty()) {
                return ran;
            }
            call = with_callbacks_.front();
            with_callbacks_.pop_front();
        }
        try {
            call->finish_callbacks();
        } catch (const mp::detail::ForcedUnwind&) {
            const MutexLock lock(mutex_);
            with_callbacks_.push_front(call);  // the others of it
            throw;
        }
        if (memory_.sleeper.load() == LinkSleeper::task) {
            ring_bell(LinkSleeper::task
            );  // what depends on it may be what it waits for
        }
    }
}

void WorkerLink::cancelled(NestedCallBase& call) noexcept {
    remove(call.number);
    // Whoever waits for it has it now.
    ring_bell(LinkSleeper::task);
    ring_bell(LinkSleeper::helper);
    leave();
}

/// One of them has come back, or will not.
bool WorkerLink::any_gone(const std::vector<std::uint64_t>& numbers) noexcept {
    const MutexLock lock(mutex_);
    return std::any_of(numbers.begin(), numbers.end(), [&](std::uint64_t number) {
        return !calls_.contains(number);
    });
}

NestedCallBase* WorkerLink::remove(std::uint64_t number) noexcept {
    const MutexLock lock(mutex_);
    const auto found = calls_.find(number);
    if (found == calls_.end()) {
        return nullptr;
    }
    NestedCallBase* const call = found->second;
    calls_.erase(found);
    return call;
}

bool WorkerLink::help(NestedCallBase& call, const mp::Deadline& deadline) {
    if (!creator_.is_here()) {
        throw mp::StateError(
            "this future belongs to a task of another process, which alone gets its "
            "result: a forked child cannot wait for it"
        );
    }
    if (ThreadDuties::of_this_thread() == this) {
        const auto done = [&] {
            return call.future_state().done();
        };
        // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
        const struct Waits {
            std::atomic<std::uint32_t>& count;

            ~Waits() { --count; }
        } waits{bell_waits_};
        ++bell_waits_;
        while (!done() && !deadline.expired()) {
            turn_in_callback(done, deadline);
        }
    }
    TaskContext* const task = task_of_this_thread();
    if (task != nullptr && PoolThread::of_this_thread() == nullptr &&
        task->pool_link() == this) {
        // One that has not used the pool itself, and waits for what another has left.
        while (deadline.is_forever() && !call.future_state().done() &&
               run_awaited(call.future_state())) {
        }
    }
    return call.future_state().done();
}

// ---- what comes back

bool WorkerLink::drain() noexcept {
    const MutexLock lock(drain_mutex_);
    return drain_locked();
}

bool WorkerLink::drain_locked() noexcept {
    bool some = false;
    try {
        std::vector<std::byte> frame;
        for (;;) {
            const auto look = tells_.next(frame);
            if (look == FrameReader::Look::nothing) {
                break;
            }
            if (look == FrameReader::Look::damaged) {
                mp::detail::log_error("somebody wrote over a worker's link to its pool"
                );
                std::abort();
            }
            some = true;
            take(frame);
        }
    } catch (const std::exception& error) {
        // Something would be waited for in vain.
        mp::detail::log_error(
            std::string("a worker cannot take what its pool tells: ") + error.what()
        );
        std::abort();
    }
    if (tells_.take_room_wanted()) {
        ring_parent();
    }
    return some;
}

void WorkerLink::take(std::span<const std::byte> frame) {
    mp::detail::ByteReader in(frame);
    const auto head = in.get_value<TellHead>();
    switch (head.kind) {
    case TellKind::result:
        take_result(head, in.rest());
        return;
    case TellKind::answer: {
        {
            const MutexLock lock(mutex_);
            const auto asked = questions_.find(head.number);
            if (asked != questions_.end()) {
                Question& question = *asked->second;
                questions_.erase(asked);
                question.answer = head.about;
                question.answered = true;
            }
        }
        wake_bell_waits();
        return;
    }
    case TellKind::run: {
        ToRun to_run{head.number, static_cast<int>(head.about), in.get_text(), {}};
        to_run.call.assign(in.rest().begin(), in.rest().end());
        {
            const MutexLock lock(mutex_);
            if (awaits_) {
                to_run_.push_back(std::move(to_run));
                break;
            }
        }
        refuse(to_run);
        return;
    }
    case TellKind::deadlock: {
        const MutexLock lock(mutex_);
        deadlocked_wait_ = head.number;
        deadlock_ = in.get_text();
        break;
    }
    }
    ring_bell(LinkSleeper::task);
}

void WorkerLink::take_result(const TellHead& head, std::span<const std::byte> bytes) {
    NestedCallBase* const call = remove(head.number);
    if (call == nullptr) {
        return;
    }
    Message message;
    message.assign(bytes);
    settle(*call, static_cast<TaskEnd>(head.about), std::move(message));
}

/// And wakes whoever may wait for it: the task, and the helper in a callback.
void WorkerLink::settle(NestedCallBase& call, TaskEnd end, Message message) noexcept {
    if (call.settle(end, std::move(message))) {
        {
            const MutexLock lock(mutex_);
            with_callbacks_.push_back(&call);
        }
        ring_bell(LinkSleeper::helper);
    } else {
        wake_bell_waits();
    }
    if (memory_.sleeper.load() == LinkSleeper::task) {
        ring_bell(LinkSleeper::task);
    }
}

}  // namespace futures::detail
