// SPDX-License-Identifier: BSL-1.0
// What a task group consists of: its state, the tasks in it, and how its block ends.
// Python:  anyio's TaskGroup backends.
// Differs: nothing to differ from.
// Threads: its loop's.
// Read next: src/concurrency/group/group_state.cpp
#pragma once

#include "concurrency/cancel.hpp"
#include "concurrency/detail/frame_memory.hpp"
#include "concurrency/detail/loop_task.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace concurrency::detail {

class GroupLink : public Link {};

class GroupState;

/// A task of a group. The group owns it, and it destroys itself when it has ended.
class GroupTask : public LoopTask, public GroupLink {
public:
    static void* operator new(std::size_t size) { return take_frame(size); }

    static void operator delete(void* task, std::size_t size) noexcept {
        give_frame(task, size);
    }

    // What is moved into a task may need more alignment than a frame has.
    static void* operator new(std::size_t size, std::align_val_t alignment) {
        return ::operator new(size, alignment);
    }

    static void
    operator delete(void* task, std::size_t size, std::align_val_t alignment) noexcept {
        ::operator delete(task, size, alignment);
    }

    /// The group's block ends, or is destroyed, after its tasks: it keeps the state for
    /// them.
    explicit GroupTask(GroupState& group) noexcept : group_(group) {}

    ~GroupTask() override = default;

    GroupState& group() const noexcept { return group_; }

private:
    friend class GroupState;

    void failed(std::exception_ptr error) noexcept override {
        error_ = std::move(error);
    }

    void end() noexcept override;

    /// What its coroutine threw, or null. Whoever else is to get it may take it away.
    virtual std::exception_ptr take_error() noexcept = 0;

    GroupState& group_;

protected:
    std::exception_ptr error_;  // thrown before there was a coroutine
};

/// Shared by the group's block, its tasks and all handles of it.
class GroupState {
public:
    GroupState() = default;
    GroupState(const GroupState&) = delete;
    GroupState& operator=(const GroupState&) = delete;

    CancelScope& scope() noexcept { return scope_; }

    /// Throws RuntimeError when the group has ended, and outside its loop.
    void check_active() const;

    /// Ready from now on. A name whose data() is null is none. Requires:
    /// check_active().
    void start(std::unique_ptr<GroupTask> task, std::string_view name);

    /// What is cancelled is noted, what is an error kept. For one that there is no
    /// memory to keep the group has std::bad_alloc.
    void add_error(std::exception_ptr error) noexcept;

    LoopTask& host() const noexcept { return *host_; }

private:
    friend class GroupBlock;
    friend class GroupTask;

    void ended(std::exception_ptr error) noexcept;

    /// What comes out of the group, or null.
    std::exception_ptr take_error() noexcept;

    CancelScope scope_;
    LoopTask* host_ = nullptr;  // whose block this is
    bool active_ = false;
    bool host_waits_ = false;
    std::size_t pending_ = 0;
    List<GroupLink> tasks_;
    std::exception_ptr cancellation_;  // with which the body or a task ended
    std::vector<std::exception_ptr> errors_;
    bool has_lost_one_ = false;  // of the errors, for want of memory
};

/// The block of a group, in its coroutine's frame.
class GroupBlock {
public:
    explicit GroupBlock(LoopTask& host);
    GroupBlock(const GroupBlock&) = delete;
    GroupBlock& operator=(const GroupBlock&) = delete;

    /// When the coroutine is destroyed where it waits, so are the tasks of the group.
    ~GroupBlock();

    const std::shared_ptr<GroupState>& state() const noexcept { return state_; }

    /// The body ended, with this error or none.
    void body_ended(std::exception_ptr error) noexcept;

    bool has_tasks() const noexcept { return state_->pending_ != 0; }

    /// Waits for one more look at the tasks. Nothing ends that: they are in the scope
    /// that was cancelled, and refer to what the block's coroutine holds.
    class Rest final : public Park {
    public:
        explicit Rest(GroupBlock& block, const char* what = "TaskGroup") noexcept
            : Park(*block.state_->host_, what), state_(*block.state_) {
            state_.host_waits_ = true;
        }

        bool abort() noexcept override { return false; }

        void await_resume() const noexcept { state_.host_waits_ = false; }

    private:
        GroupState& state_;
    };

    /// Throws what comes out of the group.
    void leave();

private:
    std::shared_ptr<GroupState> state_;
};

}  // namespace concurrency::detail
