// SPDX-License-Identifier: BSL-1.0
#include "thread_pool/wait_graph.hpp"

#include "futures/detail/thread_task.hpp"
#include "futures/errors.hpp"

#include "future/dependency_walk.hpp"
#include "os/per_process.hpp"

#include <algorithm>
#include <new>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace futures::detail {

WaitGraph& WaitGraph::of_this_process() {
    return mp::os::PerProcess<WaitGraph>::get();
}

void WaitGraph::enter(WaitingThread& thread, const Wait& wait) {
    std::string cycle;
    {
        const mp::detail::MutexLock lock(mutex_);
        thread.wait_ = &wait;
        enter_frames(thread);
        if (wait.is_forever()) {
            try {
                cycle = find_cycle(thread);
            } catch (...) {  // no memory to tell it with
                thread.wait_ = nullptr;
                throw;
            }
        }
        if (cycle.empty()) {
            link(thread);
            return;
        }
        thread.wait_ = nullptr;
    }
    throw DeadlockError(cycle);
}

void WaitGraph::leave(WaitingThread& thread) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    thread.wait_ = nullptr;
    unlink(thread);
}

void WaitGraph::link(WaitingThread& thread) noexcept {
    thread.previous_ = nullptr;
    thread.next_ = first_;
    if (first_ != nullptr) {
        first_->previous_ = &thread;
    }
    first_ = &thread;
}

void WaitGraph::unlink(WaitingThread& thread) noexcept {
    // In a forked child it is in no list.
    if (thread.previous_ != nullptr) {
        thread.previous_->next_ = thread.next_;
    } else if (first_ == &thread) {
        first_ = thread.next_;
    } else {
        return;
    }
    if (thread.next_ != nullptr) {
        thread.next_->previous_ = thread.previous_;
    }
}

// Which thread runs a task

std::size_t WaitGraph::bucket_of(const Work* work) noexcept {
    // Tasks are at least as large as a line of the cache.
    return (reinterpret_cast<std::uintptr_t>(work) >> 6U) % bucket_count;
}

/// Those that were not there yet: the outer ones may be from an earlier wait.
void WaitGraph::enter_frames(WaitingThread& thread) noexcept {
    for (TaskFrame* frame = thread.innermost; frame != nullptr && !frame->entered;
         frame = frame->outer) {
        frame->thread = &thread;
        frame->entered = true;
        frame->next_in_bucket = std::exchange(frames_[bucket_of(frame->work)], frame);
    }
}

void WaitGraph::leave(TaskFrame& frame) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    frame.entered = false;
    // In a forked child it is not there.
    for (TaskFrame** at = &frames_[bucket_of(frame.work)]; *at != nullptr;
         at = &(*at)->next_in_bucket) {
        if (*at == &frame) {
            *at = frame.next_in_bucket;
            return;
        }
    }
}

/// Where the task is on a stack whose thread sleeps without a deadline; null when
/// something else can settle the future.
const TaskFrame* WaitGraph::runner_of(StateBase& state) {
    const Work* const work = state.as_work();
    if (work == nullptr || state.done()) {
        return nullptr;
    }
    for (const TaskFrame* frame = frames_[bucket_of(work)]; frame != nullptr;
         frame = frame->next_in_bucket) {
        if (frame->work == work) {
            const Wait* const wait = frame->thread->wait_;
            return wait != nullptr && wait->is_forever() ? frame : nullptr;
        }
    }
    return nullptr;
}

// Cycles

/// A thread goes on when one of the futures that it sleeps for is done, and a dependent
/// when all are, or the first. All that can go on is found, from its ends backwards; if
/// the thread that is about to sleep is not among it, it would sleep for ever.
class WaitGraph::Search {
public:
    /// Its names are those of tasks that are there until the search is gone.
    std::string run(WaitGraph& graph, WaitingThread& closing) MP_REQUIRES(graph.mutex_);

private:
    struct Node {
        WaitingThread* thread = nullptr;  // this, or
        Dependencies* dependent = nullptr;
        StateBase* future = nullptr;  // which that makes
        bool needs_each = false;
        bool goes_on = false;
        std::size_t left = 0;  // ways that may lead nowhere
        std::vector<std::size_t> before = {};
    };

    struct Way {
        std::size_t from;
        std::size_t to;
        const TaskFrame* frame;
    };

    std::size_t node_of(WaitingThread& thread, std::uint64_t search);
    std::size_t node_of(Dependencies& dependent, StateBase& future);
    /// False: it leads to where something can happen.
    bool
    add_way(WaitGraph& graph, std::size_t from, StateBase& state, std::uint64_t search)
        MP_REQUIRES(graph.mutex_);
    void follow(WaitGraph& graph, std::size_t node, std::uint64_t search)
        MP_REQUIRES(graph.mutex_);
    void go_on(std::size_t node);
    std::string text_of_cycle() const;
    void
    add_names(std::vector<std::string>& names, const Way* way, std::size_t node) const;

    DependencyWalk walk_;
    std::vector<Node> nodes_;
    std::vector<Way> ways_;
    std::unordered_map<const Dependencies*, std::size_t> dependents_;
};

std::size_t WaitGraph::Search::node_of(WaitingThread& thread, std::uint64_t search) {
    if (thread.seen_ != search) {
        nodes_.push_back({.thread = &thread});
        thread.node_ = nodes_.size() - 1;
        thread.seen_ = search;
    }
    return thread.node_;
}

std::size_t WaitGraph::Search::node_of(Dependencies& dependent, StateBase& future) {
    const auto [at, is_new] = dependents_.try_emplace(&dependent, nodes_.size());
    if (is_new) {
        nodes_.push_back({
            .dependent = &dependent,
            .future = &future,
            .needs_each = dependent.needs_each(),
        });
    }
    return at->second;
}

bool WaitGraph::Search::add_way(
    WaitGraph& graph, std::size_t from, StateBase& state, std::uint64_t search
) {
    if (state.done()) {
        return false;
    }
    const TaskFrame* const frame = graph.runner_of(state);
    std::size_t to = 0;
    if (frame != nullptr) {
        to = node_of(*frame->thread, search);
    } else if (Dependencies* const dependent = walk_.of(state)) {
        to = node_of(*dependent, state);
    } else {
        return false;
    }
    if (nodes_[to].goes_on) {
        return false;
    }
    nodes_[to].before.push_back(from);
    ways_.push_back({from, to, frame});
    ++nodes_[from].left;
    return true;
}

void WaitGraph::Search::follow(
    WaitGraph& graph, std::size_t node, std::uint64_t search
) {
    if (const WaitingThread* const thread = nodes_[node].thread) {
        const Wait& wait = *thread->wait_;
        for (std::size_t i = 0; i < wait.size(); ++i) {
            StateBase* const state = wait.future(i);
            if (state != nullptr && !add_way(graph, node, *state, search)) {
                go_on(node);
                return;
            }
        }
    } else {
        DependencyWalk::Open open;
        const bool needs_each = nodes_[node].needs_each;
        for (std::size_t at = 0; walk_.next(*nodes_[node].dependent, at, open);) {
            if ((open.state == nullptr || !add_way(graph, node, *open.state, search)) &&
                !needs_each) {
                go_on(node);
                return;
            }
        }
    }
    if (nodes_[node].left == 0) {
        go_on(node);
    }
}

void WaitGraph::Search::go_on(std::size_t node) {
    std::vector<std::size_t> now{node};
    while (!now.empty()) {
        Node& next = nodes_[now.back()];
        now.pop_back();
        if (next.goes_on) {
            continue;
        }
        next.goes_on = true;
        for (const std::size_t before : next.before) {
            Node& other = nodes_[before];
            if (!other.needs_each || --other.left == 0) {
                now.push_back(before);
            }
        }
        next.before.clear();
    }
}

std::string WaitGraph::Search::run(WaitGraph& graph, WaitingThread& closing) {
    const std::uint64_t search = ++graph.searches_;
    node_of(closing, search);
    for (std::size_t i = 0; i < nodes_.size() && !nodes_.front().goes_on; ++i) {
        follow(graph, i, search);
        if (walk_.is_long()) {
            return {};
        }
    }
    return nodes_.front().goes_on ? std::string() : text_of_cycle();
}

/// The tasks on the stack, from the one that the way leads to inwards.
void WaitGraph::Search::add_names(
    std::vector<std::string>& names, const Way* way, std::size_t node
) const {
    const WaitingThread* const thread = nodes_[node].thread;
    if (thread == nullptr) {
        const Work* const work = nodes_[node].future->as_work();
        names.push_back(
            work != nullptr ? work->name() : "a future that depends on others"
        );
        return;
    }
    const auto first = static_cast<std::ptrdiff_t>(names.size());
    const TaskFrame* frame = thread->innermost;
    names.push_back(frame->work->name());
    while (way != nullptr && frame != way->frame) {
        frame = frame->outer;
        names.push_back(frame->work->name());
    }
    std::reverse(names.begin() + first, names.end());
}

std::string WaitGraph::Search::text_of_cycle() const {
    // From any node that does not go on a way leads to another one.
    std::vector<const Way*> path;
    std::vector<std::size_t> passed{0};
    auto end = passed.end();
    while (end == passed.end()) {
        const auto way = std::find_if(ways_.begin(), ways_.end(), [&](const Way& w) {
            return w.from == passed.back() && !nodes_[w.to].goes_on;
        });
        if (way == ways_.end()) {
            return {};
        }
        path.push_back(&*way);
        end = std::find(passed.begin(), passed.end(), way->to);
        if (end == passed.end()) {
            passed.push_back(way->to);
            end = passed.end();
        }
    }
    const auto first = static_cast<std::size_t>(end - passed.begin());
    std::vector<std::string> names;
    std::size_t back_to = 0;
    for (std::size_t i = 0; i < passed.size(); ++i) {
        if (i == first) {
            back_to = names.size();
        }
        const Way* const into = i == first ? path.back()
                                : i == 0   ? nullptr
                                           : path[i - 1];
        add_names(names, into, passed[i]);
    }
    std::string text = "this wait would never end: " + names.front();
    for (std::size_t i = 1; i < names.size(); ++i) {
        text += (i == 1 ? " waits for " : ", which waits for ") + names[i];
    }
    return text + (names.size() == 1 ? " waits for itself"
                                     : ", which waits for " + names[back_to]);
}

/// Most waits need no search for that.
bool WaitGraph::goes_on(const Wait& wait) {
    if (wait.size() == 0) {
        return true;
    }
    for (std::size_t i = 0; i < wait.size(); ++i) {
        StateBase* const state = wait.future(i);
        if (state != nullptr && (state->done() || (state->depends_on() == nullptr &&
                                                   runner_of(*state) == nullptr))) {
            return true;
        }
    }
    return false;
}

/// What is to be said of it; empty: there is none.
std::string WaitGraph::find_cycle(WaitingThread& closing) {
    return goes_on(*closing.wait_) ? std::string() : Search().run(*this, closing);
}

namespace {

/// A task in the queue of a pool.
class QueuedIn final : public DependencyVisitor {
public:
    explicit QueuedIn(std::uint32_t pool) noexcept : pool_(pool) {}

    bool visit(StateBase& state, Edge* /*edge*/) override {
        Work* const work = state.as_work();
        if (work == nullptr || work->queued_in() != pool_ || work->is_begun()) {
            return false;
        }
        work->keep();
        found = work;
        return true;
    }

    Work* found = nullptr;

private:
    const std::uint32_t pool_;
};

}  // namespace

/// In the queue of a pool whose threads may all sleep.
Work* WaitGraph::wanted_of(std::uint32_t pool) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    QueuedIn queued(pool);
    std::optional<DependencyWalk> walk;
    // So many futures are looked at that a great many waits cost no more.
    std::size_t most = 100'000;
    for (const WaitingThread* at = first_; at != nullptr; at = at->next_) {
        for (std::size_t i = 0; i < at->wait_->size() && most > 0; ++i, --most) {
            StateBase* const state = at->wait_->future(i);
            if (state == nullptr) {
                continue;
            }
            if (queued.visit(*state, nullptr)) {
                return queued.found;
            }
            if (state->depends_on() == nullptr) {
                continue;
            }
            try {
                if (!walk.has_value()) {
                    walk.emplace();
                }
                if (walk->visit(*state, queued)) {
                    return queued.found;
                }
            } catch (const std::bad_alloc&) {
                return queued.found;
            }
        }
    }
    return nullptr;
}

}  // namespace futures::detail
