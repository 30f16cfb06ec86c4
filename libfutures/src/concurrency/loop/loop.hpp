// SPDX-License-Identifier: BSL-1.0
// Loop: the tasks that are ready, the timers, and whose turn it is.
#pragma once

#include "concurrency/detail/intrusive_list.hpp"
#include "concurrency/detail/loop_task.hpp"
#include "concurrency/loop/annex.hpp"
#include "concurrency/loop/driver.hpp"
#include "concurrency/loop/frame_pool.hpp"
#include "concurrency/loop/mailbox.hpp"
#include "concurrency/loop/running.hpp"
#include "concurrency/loop/timer_heap.hpp"
#include "os/spin.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

namespace concurrency::detail {

/// The scope around all tasks of a loop.
class RootScope final : public ScopeNode {};

/// A task that waits until all tasks wait.
class IdleWait final : public Park, public Link {
public:
    IdleWait(LoopTask& task, TimePoint cushion) noexcept
        : Park(task, "wait_all_tasks_blocked"), cushion_(cushion.time_since_epoch()) {}

    bool abort() noexcept override {
        unlink();
        return true;
    }

    /// How long that has to last.
    Clock::duration cushion() const noexcept { return cushion_; }

private:
    Clock::duration cushion_;
};

/// Something that must not be left behind when its loop ends. Told in the loop's
/// executor, or its thread, when no task is there any more.
class LoopEnd : public Link {
public:
    virtual void loop_ended() noexcept = 0;

protected:
    ~LoopEnd() = default;
};

/// Its tasks run one at a time, in the driver's executor, which may be in another
/// thread each time; what they share needs no lock.
class Loop {
public:
    explicit Loop(Driver& driver);

    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop();

    // -- For the driver.

    /// Runs what is ready and what becomes so, up to a limit: the executor has other
    /// things to do.
    void turn();

    /// The same, asked for by driver().post().
    void posted_turn();

    /// The time has come that call_at() was given.
    void timer_is_due();

    /// The time has passed that call_when_idle() was given.
    void is_idle();

    /// Tells those of at_end(). The last call, before its driver lets it go.
    void tell_end() noexcept;

    /// There are letters in the mailbox.
    void mail_has_come();

    /// After stop() nothing more is to be called.
    bool stopped() const noexcept { return stopped_; }

    // -- For tasks.

    /// It runs in its turn, the first that was made ready first.
    void schedule(LoopTask& task) noexcept {
        if (abandoned_) {
            return;
        }
        ready_.push_back(task);
        if (!has_turn_ && !posted_) {
            post_turn();
        }
    }

    /// Whether another task could run now. Requires: a task of the loop runs.
    bool has_others_ready() const noexcept { return more_in_round_ || !ready_.empty(); }

    /// One more of its tasks, until it is destroyed.
    void admit(LoopTask& task) noexcept { tasks_.push_back(task); }

    /// In the order in which they were started.
    List<LoopLink>& tasks() noexcept { return tasks_; }

    /// A number that no other loop of the program has.
    std::uint64_t id() noexcept { return id_ != 0 ? id_ : id_ = new_task_id(); }

    /// The values of its RunVars.
    const std::shared_ptr<const LocalValue>& locals() const noexcept { return locals_; }

    void set_locals(std::shared_ptr<const LocalValue> locals) noexcept {
        locals_ = std::move(locals);
    }

    /// The main task has ended, or what was still to be run after it.
    void stop() noexcept;

    /// The scope of the main task.
    RootScope& root() noexcept { return root_; }

    /// Something has failed that is no task's: cancels them all, and run() throws it in
    /// the end. The first one stands.
    void fail(std::exception_ptr error) noexcept;

    /// What fail() was given, or null.
    const std::exception_ptr& error() const noexcept { return error_; }

    /// Nothing runs any more: what is still there is destroyed.
    void abandon() noexcept;

    const std::shared_ptr<Mailbox>& mailbox() const noexcept { return mailbox_; }

    /// Made by whoever needs it first; null before.
    Annex* annex() const noexcept { return annex_.get(); }

    void set_annex(std::unique_ptr<Annex> annex) noexcept { annex_ = std::move(annex); }

    /// Unless it has left before.
    void at_end(LoopEnd& end) noexcept { ends_.push_back(end); }

    bool is_abandoned() const noexcept { return abandoned_; }

    void add(Timer& timer, TimePoint time);
    void remove(Timer& timer) noexcept;

    /// Wakes it when no task has run for its time. Requires: a task of the loop runs.
    void add(IdleWait& wait) noexcept { idle_waits_.push_back(wait); }

    TimePoint now() const noexcept { return driver_.now(); }

    const Driver& driver() const noexcept { return driver_; }

    FramePool& frames() noexcept { return frames_; }

    /// Whether it helped to look for what other threads do, before the loop sleeps.
    mp::detail::SpinHistory& looks() noexcept { return looks_; }

    /// Of a task, as no other task of the program has it.
    std::uint64_t new_task_id() noexcept;

    /// Throws RuntimeError unless this thread runs a task of the loop, or a handler of
    /// its executor.
    void check_here() const;

    /// In the child of a fork the loop of its parent is none.
    bool is_of_this_process() const noexcept {
        return generation_ == fork_generation();
    }

    /// The loop whose turn it is in this thread, or null.
    static Loop* running() noexcept;

private:
    class Turn;

    void run(LoopTask& task);

    /// Nothing runs any more: run() destroys what is left, and throws RuntimeError.
    void give_up(const char* why);
    void post_turn() noexcept;
    /// Whether fail() has still to reach the tasks.
    bool has_failed() const noexcept { return error_ && !root_.cancelled(); }

    void fire_due_timers() noexcept;
    void ask_for_timer();
    std::optional<Clock::duration> idle_cushion() noexcept;
    void watch_idle();

    Driver& driver_;
    const std::uint64_t generation_;
    FramePool frames_;
    mp::detail::SpinHistory looks_;
    RootScope root_;
    std::exception_ptr error_;
    List<LoopLink> tasks_;
    List<ReadyLink> ready_;
    List<Timer> due_;
    List<LoopEnd> ends_;
    TimerHeap timers_;
    TimePoint asked_for_{};  // while is_asked_for_
    bool is_asked_for_ = false;
    List<IdleWait> idle_waits_;
    std::uint64_t rounds_ = 0;          // in which tasks ran
    std::uint64_t watched_rounds_ = 0;  // while the driver waits whether there are more
    Clock::duration watched_cushion_{};
    bool is_watching_ = false;
    bool has_turn_ = false;
    bool more_in_round_ = false;  // of ready tasks, besides the one that runs
    bool posted_ = false;
    std::unique_ptr<std::byte[]> reserve_;  // given up for what must not fail
    bool stopped_ = false;
    bool abandoned_ = false;
    std::shared_ptr<const LocalValue> locals_;
    std::uint64_t id_ = 0;
    std::shared_ptr<Mailbox> mailbox_;
    std::unique_ptr<Annex> annex_;
    std::uint64_t next_id_ = 0;
    std::uint64_t end_of_ids_ = 0;
};

}  // namespace concurrency::detail
