// SPDX-License-Identifier: BSL-1.0
// Tasks that wait for futures: a thread runs what it waits for on its own stack.
// docs/concepts/deadlocks.md has the rules and the reasons; thread_pool_spares.cpp what
// happens when it sleeps.
#include "mp/detail/forced_unwind.hpp"
#include "mp/detail/nesting.hpp"

#include "future/dependency_walk.hpp"
#include "thread_pool/thread_pool_core.hpp"

#include <new>
#include <utility>

namespace futures::detail {

namespace {

/// So many tasks run inside each other on one stack, if it has room for them.
constexpr std::size_t max_depth = 1000;

}  // namespace

// On the stack of a task that waits

/// A task that runs inside of another one.
class ThreadPool::Inner {
public:
    Inner(Worker& self, Work& work) noexcept : self_(self) {
        frame_.work = &work;
        frame_.outer = std::exchange(self.waiting.innermost, &frame_);
        ++self.depth;
    }

    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;

    ~Inner() {
        leave_graph(frame_);
        self_.waiting.innermost = frame_.outer;
        --self_.depth;
    }

private:
    Worker& self_;
    TaskFrame frame_;
};

namespace {

/// What a thread of a pool can do for a future that it waits for.
class Needed final : public DependencyVisitor {
public:
    explicit Needed(std::uint32_t pool) noexcept : pool_(pool) {}

    bool visit(StateBase& state, Edge* edge) override {
        Work* const work = state.as_work();
        if (work == nullptr) {
            return false;
        }
        if (state.done()) {
            if (edge != nullptr && work->is_passed_on()) {
                told = DependencyWalk::take(*edge);
                to_tell = edge;
            }
            return told != nullptr;
        }
        if (work->queued_in() == pool_ && !work->is_begun()) {
            work->keep();
            to_run = work;
        }
        return to_run != nullptr;
    }

    /// Of several, the first to end may be what lets the thread go on with the others.
    bool goes_into(const Dependencies& dependent) override {
        return dependent.needs_each();
    }

    Work* to_run = nullptr;  // with a reference
    Edge* to_tell = nullptr;
    StateBase* told = nullptr;  // of this one's end

private:
    const std::uint32_t pool_;
};

}  // namespace

bool ThreadPool::run_awaited(Worker& self, StateBase& state) {
    Work* const work = state.as_work();
    const bool queued = work != nullptr && work->queued_in() != 0;
    if ((queued ? work->queued_in() != number_ || work->is_begun()
                : state.depends_on() == nullptr) ||
        state.done() || self.depth >= max_depth ||
        !mp::detail::half_of_stack_is_left()) {
        return false;
    }
    try {
        self.unfinished.reserve(self.depth + 2);
    } catch (const std::bad_alloc&) {
        return false;
    }
    if (queued) {
        return run_inside(self, *work);
    }
    Needed needed(number_);
    try {
        DependencyWalk walk;
        walk.visit(state, needed);
    } catch (const std::bad_alloc&) {
        static_cast<void>(0);  // what it found is done
    }
    if (needed.told != nullptr) {
        DependencyWalk::tell(*needed.to_tell, *needed.told);
        return true;
    }
    if (needed.to_run != nullptr) {
        // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
        const struct Kept {
            Work& work;

            ~Kept() { work.release(); }
        } kept{*needed.to_run};
        run_inside(self, kept.work);
        return true;
    }
    return false;
}

/// False when it was begun elsewhere.
bool ThreadPool::run_inside(Worker& self, Work& work) {
    if (!work.begin()) {
        return false;
    }
    drop_begun(self, &work);
    bool callbacks = false;
    {
        const Inner inner(self, work);
        try {
            callbacks = work.run_begun(self);
        } catch (const mp::detail::ForcedUnwind&) {
            // The task that waits is lost with it: its stack goes.
            self.unfinished.insert(self.unfinished.begin(), &work);
            throw;
        }
    }
    if (callbacks && !work.tell_at_once()) {
        pass_on_callbacks(work);
    }
    return true;
}

/// In a thread that was made for it. The reference is ours.
void ThreadPool::run_first(Worker& self, Work& work) {
    const bool begun = work.begin();
    work.release();
    if (!begun) {
        return;
    }
    drop_begun(self, &work);
    self.task.work = &work;
    bool callbacks = false;
    try {
        callbacks = work.run_begun(self);
    } catch (const mp::detail::ForcedUnwind&) {
        self.unfinished.insert(self.unfinished.begin(), &work);
        leave_graph(self.task);
        throw;
    }
    leave_graph(self.task);
    if (callbacks && !work.tell_at_once()) {
        pass_on_callbacks(work);
    }
}

/// What the queue still has of tasks that were begun without it; `begun`, if any, was
/// so just now.
void ThreadPool::drop_begun(Worker& self, Work* begun) {
    if (begun != nullptr && queue_.take_out(*begun)) [[unlikely]] {
        begun->pass_over(self);
    }
    while (Work* const work = queue_.take_begun()) {
        work->pass_over(self);
    }
}

/// The callbacks of a task that ran inside of another one: they may need a mutex that
/// the other one holds, or wait for it, so they run as a task of their own. References
/// as those of a task: one for the call, and one for the queue when it was begun
/// elsewhere.
class ThreadPool::CallbacksOf final : public Work {
public:
    CallbacksOf(ThreadPool& pool, Work& done) noexcept : pool_(pool), done_(done) {}

    void run(WorkerState& self) override {
        ++pool_.internal_begun_;
        if (claim()) {
            tell(self.completed);
        } else {
            release();
        }
    }

    void run_rest(WorkerState& self) override { tell(self.completed); }

    void pass_over(WorkerState& /*self*/) override {
        ++pool_.internal_begun_;
        release();
    }

    bool begin() noexcept override {
        if (!claim()) {
            return false;
        }
        keep();
        return true;
    }

    bool run_begun(WorkerState& self) override {
        tell(self.completed);
        return false;
    }

    void fail(std::exception_ptr /*exception*/) override { cancel_work(); }

    void cancel_work() override {
        ++pool_.internal_begun_;
        finish_all();
    }

    bool is_begun() const noexcept override { return begun_.load(); }

    bool is_cancelled() const noexcept override { return false; }

    void keep() noexcept override { ++references_; }

    void release() noexcept override {
        if (--references_ == 0) {
            delete this;
        }
    }

    bool tell_at_once() override { return true; }

    void finish_callbacks(std::atomic<std::uint64_t>& /*completed*/) override {}

    std::string call_name() const override { return "a callback"; }

private:
    friend class ThreadPool;

    ~CallbacksOf() = default;

    bool claim() noexcept {
        if (begun_.exchange(true)) {
            return false;
        }
        pool_.forget_passed_on(*this);
        return true;
    }

    /// In a thread that has more to do.
    void finish_all() {
        if (!claim()) {
            release();
            return;
        }
        std::atomic<std::uint64_t> uncounted{0};
        try {
            done_.finish_callbacks(uncounted);
        } catch (const mp::detail::ForcedUnwind&) {
            tell(uncounted);
            throw;
        }
        release();
    }

    void tell(std::atomic<std::uint64_t>& completed) {
        done_.finish_callbacks(completed);
        release();
    }

    ThreadPool& pool_;
    Work& done_;
    std::atomic<std::uint32_t> references_{1};
    std::atomic<bool> begun_{false};
    // Guarded by the pool's mutex_.
    CallbacksOf* next_ = nullptr;
    CallbacksOf* previous_ = nullptr;
};

void ThreadPool::forget_passed_on(CallbacksOf& callbacks) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    (callbacks.previous_ != nullptr ? callbacks.previous_->next_ : first_passed_on_) =
        callbacks.next_;
    (callbacks.next_ != nullptr ? callbacks.next_->previous_ : last_passed_on_) =
        callbacks.previous_;
}

/// With one reference.
Work* ThreadPool::passed_on() noexcept {
    if (first_passed_on_ != nullptr) {
        first_passed_on_->keep();
    }
    return first_passed_on_;
}

void ThreadPool::pass_on_callbacks(Work& work) {
    auto* const callbacks = new (std::nothrow) CallbacksOf(*this, work);
    try {
        if (callbacks == nullptr) {
            throw std::bad_alloc();
        }
        {
            const mp::detail::MutexLock lock(mutex_);
            callbacks->previous_ = last_passed_on_;
            (last_passed_on_ != nullptr ? last_passed_on_->next_ : first_passed_on_) =
                callbacks;
            last_passed_on_ = callbacks;
        }
        work.set_passed_on();
        ++internal_;
        queue_.push(*callbacks);
        idle_.wake_unless_one_searches();
    } catch (const std::bad_alloc&) {
        // Here, then.
        if (callbacks != nullptr) {
            --internal_;
            callbacks->finish_all();
            return;
        }
        std::atomic<std::uint64_t> uncounted{0};
        try {
            work.finish_callbacks(uncounted);
        } catch (const mp::detail::ForcedUnwind&) {
            work.finish_callbacks(uncounted);
            throw;
        }
    }
}

}  // namespace futures::detail
