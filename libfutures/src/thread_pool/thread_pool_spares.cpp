// SPDX-License-Identifier: BSL-1.0
// Threads that sleep for futures: each counts as blocked, and when all threads of the
// pool are, one more is added for what is queued. docs/concepts/deadlocks.md has the
// rules.
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

/// Where a wait leads to.
class Ways final : public DependencyVisitor {
public:
    explicit Ways(const Wait& wait) noexcept {
        const std::size_t size = std::min(wait.size(), enough_futures);
        for (std::size_t i = 0; i < size; ++i) {
            StateBase* const state = wait.future(i);
            if (state == nullptr) {
                continue;
            }
            by_hand |= !state->is_owned();
            if (visit(*state, nullptr) || state->depends_on() == nullptr) {
                continue;
            }
            try {
                DependencyWalk walk;
                walk.visit(*state, *this);
            } catch (const std::bad_alloc&) {
                static_cast<void>(0);  // what it found is something
            }
        }
    }

    bool visit(StateBase& state, Edge* /*edge*/) override {
        Work* const work = state.as_work();
        if (work != nullptr && work->queued_in() != 0 && !work->is_begun() &&
            std::find(pools.begin(), end, work->queued_in()) == end) {
            *end++ = work->queued_in();
        }
        return end == pools.end();
    }

    bool visit_hand_made() override {
        by_hand = true;
        return false;
    }

    /// To a future made by hand.
    bool by_hand = false;
    /// The pools in whose queues the tasks are that it needs.
    std::array<std::uint32_t, 8> pools{};
    std::array<std::uint32_t, 8>::iterator end = pools.begin();
};

}  // namespace

ThreadPool::ThreadPool(
    std::size_t max_workers,
    std::string prefix,
    std::function<void()> init,
    std::function<void()> finalizer
)
    : max_workers_(max_workers),
      number_(next_number()),
      prefix_(std::move(prefix)),
      initializer_(std::move(init)),
      finalizer_(std::move(finalizer)) {}

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

std::shared_ptr<ThreadPool> ThreadPool::find(std::uint32_t number) noexcept {
    return Pools::all().find(number);
}

// Sleeping

void ThreadPool::begin_wait(Worker& self, const Wait& wait) {
    drop_begun(self);  // so that what is queued is to be done
    WaitGraph::of_this_process().enter(self.waiting, wait);
    const Ways ways(wait);
    self.by_hand = ways.by_hand;
    {
        const mp::detail::MutexLock lock(mutex_);
        ++blocked_;
        blocked_by_hand_ += self.by_hand ? 1 : 0;
    }
    relieve();
    // In other pools, too, all threads may be blocked.
    for (const auto* at = ways.pools.begin(); at != ways.end; ++at) {
        const auto pool = *at == number_ ? nullptr : Pools::all().find(*at);
        if (pool != nullptr) {
            pool->relieve();
        }
    }
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
            Worker& worker = workers_.emplace_back(
                *this, prefix_ + "_" + std::to_string(number), number
            );
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
