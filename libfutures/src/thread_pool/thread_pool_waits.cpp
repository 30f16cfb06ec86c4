// SPDX-License-Identifier: BSL-1.0
// Tasks that wait for futures: a thread runs what it waits for on its own stack; while
// it sleeps it counts as blocked, and when all threads of the pool do, one more is
// added. docs/concepts/deadlocks.md has the rules and the reasons.
#include "mp/detail/forced_unwind.hpp"
#include "mp/detail/nesting.hpp"

#include "future/dependency_walk.hpp"
#include "os/per_process.hpp"
#include "thread_pool/thread_pool_core.hpp"
#include "util/diagnostics.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <unordered_map>
#include <utility>

namespace futures::detail {

namespace {

/// So many tasks run inside each other on one stack, if it has room for them.
constexpr std::size_t max_depth = 1000;

/// So many threads are added at least, if need be, to a pool whose threads wait for
/// futures made by hand: any task that is queued may be what completes one.
constexpr std::size_t min_spares_by_hand = 64;

/// So many futures of one wait are looked at for what they are.
constexpr std::size_t enough_futures = 16;

/// The pools of this process, by their numbers.
struct Pools {
    mp::detail::Mutex mutex;
    std::unordered_map<std::uint32_t, std::weak_ptr<ThreadPool>>
        pools MP_GUARDED_BY(mutex);

    static Pools& all() { return mp::os::PerProcess<Pools>::get(); }

    std::shared_ptr<ThreadPool> find(std::uint32_t number) noexcept {
        const mp::detail::MutexLock lock(mutex);
        const auto at = pools.find(number);
        return at == pools.end() ? nullptr : at->second.lock();
    }
};

std::uint32_t next_number() noexcept {
    static std::atomic<std::uint32_t> last{0};
    const std::uint32_t number = ++last;
    return number != 0 ? number : ++last;
}

bool is_by_hand(const Wait& wait) noexcept {
    const std::size_t size = std::min(wait.size(), enough_futures);
    for (std::size_t i = 0; i < size; ++i) {
        const StateBase* const state = wait.future(i);
        if (state != nullptr && !state->is_owned()) {
            return true;
        }
    }
    return false;
}

}  // namespace

ThreadPool::ThreadPool(
    std::size_t max_workers, std::string prefix, std::function<void()> init
)
    : max_workers_(max_workers),
      number_(next_number()),
      prefix_(std::move(prefix)),
      initializer_(std::move(init)) {}

ThreadPool::~ThreadPool() {
    Pools& all = Pools::all();
    const mp::detail::MutexLock lock(all.mutex);
    all.pools.erase(number_);
}

void ThreadPool::can_be_found() {
    Pools& all = Pools::all();
    const mp::detail::MutexLock lock(all.mutex);
    all.pools.emplace(number_, weak_from_this());
}

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
        const bool ran = run_inside(self, *needed.to_run);
        needed.to_run->release();
        return ran;
    }
    return false;
}

/// False when it was begun elsewhere.
bool ThreadPool::run_inside(Worker& self, Work& work) {
    try {
        self.unfinished.reserve(self.depth + 2);
    } catch (const std::bad_alloc&) {
        return false;
    }
    if (!work.begin()) {
        return false;
    }
    drop_begun(self);
    bool callbacks = false;
    {
        const Inner inner(self, work);
        try {
            callbacks = work.run_begun(self.completed);
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
    drop_begun(self);
    self.task.work = &work;
    bool callbacks = false;
    try {
        callbacks = work.run_begun(self.completed);
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

/// What the queue still has of tasks that were begun without it.
void ThreadPool::drop_begun(Worker& self) {
    while (Work* const work = queue_.take_begun()) {
        work->run(self.completed);
    }
}

/// The callbacks of a task that ran inside of another one: they may need a mutex that
/// the other one holds, or wait for it, so they run as a task of their own. References
/// as those of a task: one for the call, and one for the queue when it was begun
/// elsewhere.
class ThreadPool::CallbacksOf final : public Work {
public:
    CallbacksOf(ThreadPool& pool, Work& done) noexcept : pool_(pool), done_(done) {}

    void run(std::atomic<std::uint64_t>& completed) override {
        if (claim()) {
            run_rest(completed);
        } else {
            release();
        }
    }

    void run_rest(std::atomic<std::uint64_t>& completed) override {
        done_.finish_callbacks(completed);
        release();
    }

    bool begin() noexcept override {
        if (!claim()) {
            return false;
        }
        keep();
        return true;
    }

    bool run_begun(std::atomic<std::uint64_t>& completed) override {
        run_rest(completed);
        return false;
    }

    void fail(std::exception_ptr /*exception*/) override { finish_all(); }

    void cancel_work() override { finish_all(); }

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

    std::string name() const override { return "a callback"; }

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
            run_rest(uncounted);
            throw;
        }
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
            callbacks->cancel_work();
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

// Sleeping

void ThreadPool::begin_wait(Worker& self, const Wait& wait) {
    drop_begun(self);  // so that what is queued is to be done
    WaitGraph::of_this_process().enter(self.waiting, wait);
    self.by_hand = is_by_hand(wait);
    {
        const mp::detail::MutexLock lock(mutex_);
        ++blocked_;
        blocked_by_hand_ += self.by_hand ? 1 : 0;
    }
    relieve();
    relieve_other(wait);
}

void ThreadPool::end_wait(Worker& self, const Wait& /*wait*/) noexcept {
    WaitGraph::of_this_process().leave(self.waiting);
    bool surplus = false;
    {
        const mp::detail::MutexLock lock(mutex_);
        --blocked_;
        blocked_by_hand_ -= self.by_hand ? 1 : 0;
        count_blocked();
        surplus = surplus_.load();
    }
    if (surplus) {
        idle_.wake_one();
    }
}

void ThreadPool::count_blocked() noexcept {
    all_blocked_ = blocked_ != 0 && blocked_ >= alive_;
    surplus_ = alive_ > blocked_ + max_workers_;
}

/// If all threads are blocked and there is work: one thread more.
void ThreadPool::relieve() noexcept {
    Work* left = nullptr;
    bool at_limit = false;
    {
        const mp::detail::MutexLock lock(mutex_);
        left = relieve_locked(at_limit);
    }
    if (left != nullptr) {
        left->release();
    }
    if (at_limit) {
        mp::detail::log_error("all threads of a thread pool wait for futures, those "
                              "that were added, too: "
                              "what is queued waits until one of them goes on");
    }
}

/// The reference to what it returns is to be dropped outside the lock.
Work* ThreadPool::relieve_locked(bool& at_limit) noexcept {
    count_blocked();
    if (!all_blocked_.load()) {
        return nullptr;
    }
    // What some thread waits for first: so a recursion needs as many threads as it is
    // deep, not as many as it has branches.
    if (queue_.is_empty()) {
        return nullptr;
    }
    Work* wanted = WaitGraph::of_this_process().wanted_of(number_);
    if (wanted == nullptr) {
        wanted = passed_on();
    }
    if (wanted != nullptr) {
        return add_spare(wanted) ? nullptr : wanted;
    }
    const std::size_t most = blocked_by_hand_ != 0
                                 ? std::max(max_workers_, min_spares_by_hand)
                                 : max_workers_;
    if (threads_.load() < max_workers_ + most) {
        add_spare(nullptr);
    } else {
        at_limit = !std::exchange(told_all_blocked_, true);
    }
    return nullptr;
}

namespace {

/// The pools in whose queues the tasks are that a wait needs.
class PoolsOf final : public DependencyVisitor {
public:
    bool visit(StateBase& state, Edge* /*edge*/) override {
        Work* const work = state.as_work();
        if (work != nullptr && work->queued_in() != 0 && !work->is_begun() &&
            std::find(found.begin(), end, work->queued_in()) == end) {
            *end++ = work->queued_in();
        }
        return end == found.end();
    }

    std::array<std::uint32_t, 8> found{};
    std::array<std::uint32_t, 8>::iterator end = found.begin();
};

}  // namespace

/// In other pools, whose threads may all be blocked.
void ThreadPool::relieve_other(const Wait& wait) noexcept {
    PoolsOf pools;
    const std::size_t size = std::min(wait.size(), enough_futures);
    for (std::size_t i = 0; i < size; ++i) {
        StateBase* const state = wait.future(i);
        if (state == nullptr || pools.visit(*state, nullptr) ||
            state->depends_on() == nullptr) {
            continue;
        }
        try {
            DependencyWalk walk;
            walk.visit(*state, pools);
        } catch (const std::bad_alloc&) {
            static_cast<void>(0);  // what it found is done
        }
    }
    for (auto at = pools.found.begin(); at != pools.end; ++at) {
        const auto pool = *at == number_ ? nullptr : Pools::all().find(*at);
        if (pool != nullptr) {
            pool->relieve();
        }
    }
}

bool ThreadPool::add_spare(Work* first) noexcept {
    const std::size_t number = threads_.load();
    try {
        idle_.reserve(number + 1);
        const auto ended =
            std::find_if(workers_.begin(), workers_.end(), [](const Worker& w) {
                return w.ended;
            });
        if (ended != workers_.end()) {
            start_thread(*ended, first);
        } else {
            Worker& worker =
                workers_.emplace_back(*this, prefix_ + "_" + std::to_string(number));
            try {
                start_thread(worker, first);
            } catch (...) {
                workers_.pop_back();
                throw;
            }
        }
    } catch (...) {
        return false;  // the next one that waits, or submits, tries again
    }
    threads_ = number + 1;
    ++alive_;
    count_blocked();
    return true;
}

/// True: this thread is one too many, and is to end.
bool ThreadPool::retire(Worker& self) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    if (mode_.load() == Mode::broken || !surplus_.load()) {
        return false;
    }
    self.ended = true;
    --alive_;
    --threads_;
    count_blocked();
    return true;
}

}  // namespace futures::detail
