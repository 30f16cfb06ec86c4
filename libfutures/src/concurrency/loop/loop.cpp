// SPDX-License-Identifier: BSL-1.0
#include "concurrency/loop/loop.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/running.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

namespace concurrency::detail {

namespace {

// Rounds of all that is ready, before the executor may see to other things.
constexpr int rounds_in_a_turn = 64;

// How often a task may go on without waiting, before the others run.
constexpr int steps_without_yield = 256;

std::uint64_t take_ids(std::uint64_t count) noexcept {
    static std::atomic<std::uint64_t> next{1};
    // order: none needed, the numbers only have to differ.
    return next.fetch_add(count, std::memory_order_relaxed);
}

}  // namespace

/// While a loop has its turn, it is the one that runs in this thread.
class Loop::Turn {
public:
    explicit Turn(Loop& loop) noexcept : loop_(loop), before_(running_here()) {
        loop_.has_turn_ = true;
        running_here() = {&loop, nullptr};
    }

    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    ~Turn() {
        loop_.has_turn_ = false;
        running_here() = before_;
    }

private:
    Loop& loop_;
    const Running before_;
};

Loop::Loop(Driver& driver)
    : driver_(driver),
      generation_((watch_forks(), fork_generation())),
      mailbox_(std::make_shared<Mailbox>(driver)) {}

Loop::~Loop() {
    mailbox_->close();
    annex_.reset();
    while (!timers_.empty()) {
        timers_.pop().loop_ = nullptr;
    }
}

void Loop::turn() {
    posted_ = false;
    const Turn turn(*this);
    List<ReadyLink> round;
    for (int i = 0; i < rounds_in_a_turn && !stopped_; ++i) {
        // Before the tasks: a deadline that has passed is seen by the next checkpoint.
        fire_due_timers();
        if (has_failed()) {
            root_.call("a handler threw");
        }
        if (ready_.empty()) {
            break;
        }
        ++rounds_;
        round.take(ready_);
        while (!round.empty() && !stopped_) {
            run(static_cast<LoopTask&>(round.pop_front()));
        }
    }
    if (stopped_) {
        return;
    }
    if (!ready_.empty() || has_failed()) {
        driver_.post();
        posted_ = true;
    }
    ask_for_timer();
    watch_idle();
}

void Loop::timer_is_due() {
    is_asked_for_ = false;
    turn();
}

void Loop::tell_end() noexcept {
    while (!ends_.empty()) {
        ends_.pop_front().loop_ended();
    }
}

void Loop::mail_has_come() {
    {
        const Turn turn(*this);
        List<Letter> batch;
        mailbox_->take(batch);
        while (!batch.empty()) {
            batch.pop_front().arrive(*this);
        }
    }
    turn();
}

void Loop::stop() noexcept {
    mailbox_->end();
    stopped_ = annex_ == nullptr || annex_->is_over();
}

void Loop::abandon() noexcept {
    abandoned_ = stopped_ = true;
    mailbox_->close();
    if (annex_ != nullptr) {
        annex_->abandon();
    }
}

void Loop::schedule(LoopTask& task) {
    if (abandoned_) {
        return;
    }
    ready_.push_back(task);
    if (!has_turn_ && !posted_) {
        posted_ = true;
        driver_.post();
    }
}

void Loop::run(LoopTask& task) {
    running_here().task = &task;
    task.budget_ = steps_without_yield;
    task.parked_ = false;
    if (!task.begun_) {
        task.begun_ = true;
        try {
            task.begin();
        } catch (...) {
            task.failed(std::current_exception());
            task.finished_ = true;
        }
    }
    while (task.next_ && !task.parked_) {
        std::exchange(task.next_, {}).resume();
    }
    if (task.finished_) {
        task.end();
    }
    running_here().task = nullptr;
}

void Loop::add(Timer& timer, TimePoint time) {
    if (time == TimePoint::max()) {
        return;  // never
    }
    timers_.push(timer, time);
    timer.loop_ = this;
    if (!has_turn_) {
        ask_for_timer();
        watch_idle();
    }
}

void Loop::remove(Timer& timer) noexcept {
    // The executor's timer stays as it is: when it fires for nothing, that costs less
    // than setting it anew each time.
    if (TimerHeap::holds(timer)) {
        timers_.remove(timer);
    }
    timer.unlink();  // from what is due
    timer.loop_ = nullptr;
}

void Loop::fire_due_timers() noexcept {
    if (timers_.empty()) {
        return;
    }
    const TimePoint time = now();
    while (!timers_.empty() && timers_.first() <= time) {
        Timer& timer = timers_.pop();
        if (timer.kind_ == Timer::Kind::deadline) {
            timer.loop_ = nullptr;
            timer.fire();
        } else {
            due_.push_back(timer);
        }
    }
    // A sleeper that a deadline has just ended is not here any more.
    while (!due_.empty()) {
        Timer& timer = due_.pop_front();
        timer.loop_ = nullptr;
        timer.fire();
    }
}

void Loop::ask_for_timer() {
    if (timers_.empty() || (is_asked_for_ && asked_for_ <= timers_.first())) {
        return;
    }
    asked_for_ = timers_.first();
    is_asked_for_ = true;
    driver_.call_at(asked_for_);
}

// How long nothing is to run before is_idle(); none when nobody wants to know.
std::optional<Clock::duration> Loop::idle_cushion() noexcept {
    IdleWait* wait = idle_waits_.first();
    if (wait == nullptr) {
        return timers_.empty() ? std::nullopt : driver_.jumps_after();
    }
    Clock::duration least = wait->cushion();
    for (; wait != nullptr; wait = idle_waits_.after(*wait)) {
        least = std::min(least, wait->cushion());
    }
    return least;
}

void Loop::watch_idle() {
    const std::optional<Clock::duration> cushion = idle_cushion();
    if (!cushion || !ready_.empty()) {
        return;
    }
    if (is_watching_ && watched_rounds_ == rounds_ && watched_cushion_ == *cushion) {
        return;
    }
    is_watching_ = true;
    watched_rounds_ = rounds_;
    watched_cushion_ = *cushion;
    driver_.call_when_idle(*cushion);
}

void Loop::is_idle() {
    is_watching_ = false;
    if (watched_rounds_ != rounds_ || !ready_.empty()) {
        return;  // the turn that runs those watches anew
    }
    const std::optional<Clock::duration> cushion = idle_cushion();
    if (idle_waits_.empty()) {
        if (cushion) {
            driver_.jump_to(timers_.first());
            timer_is_due();
        }
        return;
    }
    for (IdleWait* wait = idle_waits_.first(); wait != nullptr;) {
        IdleWait& idle = *wait;
        wait = idle_waits_.after(idle);
        if (idle.cushion() == *cushion) {
            idle.unlink();
            idle.task().wake();
        }
    }
}

std::uint64_t Loop::new_task_id() noexcept {
    constexpr std::uint64_t block = 4096;
    if (next_id_ == end_of_ids_) {
        next_id_ = take_ids(block);
        end_of_ids_ = next_id_ + block;
    }
    return next_id_++;
}

void Loop::fail(std::exception_ptr error) noexcept {
    if (error_) {
        return;
    }
    error_ = std::move(error);
    if (!has_turn_ && !posted_) {
        posted_ = true;
        driver_.post();
    }
}

void Loop::check_here() const {
    const Loop* here = running_here().loop;
    if (!is_of_this_process()) {
        throw RuntimeError("the loop was left behind by a fork");
    }
    if (here != nullptr && here != this) {
        throw RuntimeError("this belongs to another loop");
    }
    // What is destroyed with the loop may still use it.
    if (here == nullptr && !driver_.is_here() && !abandoned_) {
        throw RuntimeError("this belongs to a loop that runs in another thread");
    }
}

bool Loop::is_of_this_process() const noexcept {
    return generation_ == fork_generation();
}

Loop* Loop::running() noexcept {
    Loop* loop = running_here().loop;
    return loop != nullptr && loop->is_of_this_process() ? loop : nullptr;
}

void Timer::set(Loop& loop, TimePoint time) {
    loop.add(*this, time);
}

void Timer::clear() noexcept {
    if (loop_ != nullptr) {
        loop_->remove(*this);
    }
}

}  // namespace concurrency::detail
