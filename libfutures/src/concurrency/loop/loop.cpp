// SPDX-License-Identifier: BSL-1.0
#include "concurrency/loop/loop.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/running.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <new>
#include <thread>
#include <utility>

namespace concurrency::detail {

namespace {

// So many tasks run, and then the rest of what was ready with them, before the executor
// may see to other things, which costs some system calls.
constexpr int runs_in_a_turn = 512;

// How often a task may go on without waiting, before the others run.
constexpr int steps_without_yield = 256;

// For the few small objects by which an executor keeps a call.
constexpr std::size_t reserve_size = 1024;

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

void Loop::posted_turn() {
    posted_ = false;
    turn();
}

void Loop::turn() {
    if (!reserve_) {
        reserve_.reset(new (std::nothrow) std::byte[reserve_size]);
    }
    const Turn turn(*this);
    List<ReadyLink> round;
    for (int runs = 0; runs < runs_in_a_turn && !stopped_;) {
        // Before the tasks: a deadline that has passed is seen by the next checkpoint.
        if (!timers_.empty()) {
            fire_due_timers();
        }
        if (has_failed()) {
            root_.call("a handler threw");
        }
        if (ready_.empty()) {
            break;
        }
        ++rounds_;
        round.take(ready_);
        while (!round.empty() && !stopped_) {
            auto& task = static_cast<LoopTask&>(round.pop_front());
            more_in_round_ = !round.empty();
            ++runs;
            run(task);
            if (!is_of_this_process()) [[unlikely]] {
                give_up("the loop was left behind by a fork");
            }
        }
    }
    if (stopped_) {
        return;
    }
    // One is enough: what timers and letters begin may find it under way.
    if ((!ready_.empty() || has_failed()) && !posted_) {
        post_turn();
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

// Who wakes a task has nobody to tell that there is no memory for that, and the task
// waits for it. So there is a reserve; beyond that others have to give memory back.
void Loop::post_turn() noexcept {
    posted_ = true;
    for (;;) {
        try {
            driver_.post();
            return;
        } catch (const std::bad_alloc&) {
            reserve_.reset();
            std::this_thread::yield();
        }
    }
}

void Loop::run(LoopTask& task) {
    Running& here = running_here();
    here.task = &task;
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
        // They end when nothing runs here: what a value's destructor does must not find
        // a task that is half gone.
        const std::shared_ptr<const LocalValue> locals = task.locals_;
        task.end();
        here.task = nullptr;
        return;
    }
    here.task = nullptr;
    if (!task.parked_) [[unlikely]] {
        give_up("a task awaited something that is not of this library: an operation of "
                "Boost.Asio needs use_task or asio_op()");
    }
}

void Loop::give_up(const char* why) {
    if (!error_) {
        error_ = std::make_exception_ptr(RuntimeError(why));
    }
    abandon();
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
    is_asked_for_ = false;  // should there be no memory for it
    asked_for_ = timers_.first();
    driver_.call_at(asked_for_);
    is_asked_for_ = true;
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
    is_watching_ = false;
    watched_rounds_ = rounds_;
    watched_cushion_ = *cushion;
    driver_.call_when_idle(*cushion);
    is_watching_ = true;
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
    if (!error_) {
        error_ = std::move(error);
    }
    if (!has_turn_) {
        // What failed may be one of the calls that were asked for, so none is waited
        // for.
        is_asked_for_ = is_watching_ = false;
        if (!posted_) {
            post_turn();
        }
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
