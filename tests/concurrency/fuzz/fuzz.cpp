// SPDX-License-Identifier: BSL-1.0
#include "fuzz.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/testing.hpp"
#include "fuzz_world.hpp"

#include <algorithm>
#include <utility>

namespace test {

using concurrency::CancelScope;
using concurrency::current_time;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

std::discrete_distribution<std::size_t>
weights_of(const std::vector<FuzzOperation>& operations) {
    std::vector<double> weights;
    for (const FuzzOperation& operation : operations) {
        weights.push_back(operation.weight);
    }
    return {weights.begin(), weights.end()};
}

class Counted {
public:
    explicit Counted(int& count) : count_(count) { ++count_; }

    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

    ~Counted() { --count_; }

private:
    int& count_;
};

}  // namespace

Fuzz::Fuzz(FuzzOptions options, const FuzzOperations& operations, FuzzWorld& shared)
    : world(shared),
      operations_(operations),
      time_(options.time),
      random_(options.seed),
      choice_(weights_of(operations)),
      budget_(options.steps) {}

Task<> Fuzz::main() {
    bool is_over = false;
    co_await concurrency::create_task_group([&](TaskGroup& group) -> Task<> {
        group.start_soon([&, group]() { return end_all(group, is_over); });
        FuzzNode root;
        co_await steps({&root, nullptr}, budget_);
        const double pause = is_real() ? 0.002 : 250;  // end_all() goes on meanwhile
        while (world.outside != 0) {
            co_await concurrency::sleep(pause);
        }
        // The token of a call that was abandoned comes back with its thread.
        for (int i = 0; i < 20000 && world.thread_limiter.borrowed_tokens() > 0; ++i) {
            co_await concurrency::sleep(pause);
        }
        is_over = true;
        group.cancel();
    });
    expect(nodes_.empty(), "a scope was not left");
    expect(waits_.empty(), "a wait has not ended");
    expect(thrown == arrived, "errors were lost");
    expect(!concurrency::cancel_pending(), "the main task is cancelled");
    expect(!concurrency::effective_deadline(), "the main task has a deadline");
    world.check_end(*this);
}

// What waits for ever is ended now and then.
Task<> Fuzz::end_all(TaskGroup, bool& is_over) {
    while (!is_over) {
        if (is_real()) {
            co_await concurrency::testing::wait_all_tasks_blocked(0.0008);
        } else {
            co_await concurrency::sleep(1000);
        }
        cancel_all();
    }
}

void Fuzz::cancel_all() {
    const std::vector<FuzzNode*> nodes = nodes_;
    for (FuzzNode* node : nodes) {
        if (node->scope != nullptr) {
            cancel(*node);
        }
    }
}

Task<> Fuzz::steps(FuzzPlace at, int most) {
    const Counted here(frames);
    for (int i = 0; i < most && budget_ > 0; ++i) {
        --budget_;
        if (++step_ == stop_at_) {
            stop_();
        }
        const FuzzOperation& operation = choose();
        operation_ = operation.name;
        co_await operation.run(*this, at);
        operation_ = operation.name;
        expect(
            concurrency::cancel_pending() == cancelled(*at.node), "cancel_pending()"
        );
        expect(
            concurrency::effective_deadline() == deadline_of(*at.node),
            "effective_deadline()"
        );
    }
}

// Now and then all tasks do the same for a while, so that many wait for one thing.
const FuzzOperation& Fuzz::choose() {
    if (times_ > 0) {
        --times_;
    } else {
        chosen_ = choice_(random_);
        times_ = chance(8) ? below(16) : 0;
    }
    return operations_[chosen_];
}

bool Fuzz::called(FuzzNode& node) {
    if (node.called || node.deadline == concurrency::inf) {
        return node.called;
    }
    const bool has_passed = node.deadline <= current_time();
    if (is_real() ? node.scope->cancel_called() : has_passed) {
        expect(has_passed, "a deadline strikes early");
        node.called = node.by_deadline = true;
    }
    return node.called;
}

bool Fuzz::cancelled(const FuzzNode& node) {
    look();
    for (const FuzzNode* at = &node; at != nullptr; at = at->parent) {
        if (at->called || (!is_real() && at->deadline <= current_time())) {
            return true;
        }
        if (at->shield) {
            break;
        }
    }
    return false;
}

std::optional<double> Fuzz::deadline_of(const FuzzNode& node) {
    if (cancelled(node)) {
        return -concurrency::inf;
    }
    double deadline = concurrency::inf;
    for (const FuzzNode* at = &node; at != nullptr; at = at->parent) {
        deadline = std::min(deadline, at->deadline);
        if (at->shield) {
            break;
        }
    }
    return deadline == concurrency::inf ? std::nullopt : std::optional(deadline);
}

void Fuzz::look() {
    for (FuzzNode* node : nodes_) {
        called(*node);
    }
    for (std::size_t i = 0; i < waits_.size(); ++i) {
        FuzzWait& wait = *waits_[i];
        if (wait.is_over || wait.cancelled_at != concurrency::inf) {
            continue;
        }
        bool is_cancelled = false;
        for (const FuzzNode* at = wait.node; at != nullptr && !is_cancelled;
             at = at->shield ? nullptr : at->parent) {
            is_cancelled = at->called;
        }
        if (!is_cancelled) {
            continue;
        }
        wait.cancelled_at = current_time();
        if (wait.takes_down != nullptr && !wait.takes_down->called) {
            wait.takes_down->called = true;
            i = static_cast<std::size_t>(-1);  // others may wait in there
        }
    }
}

void Fuzz::cancel(FuzzNode& node) {
    look();
    if (!node.called && node.deadline != concurrency::inf) {
        // A deadline that has passed and that nobody has looked at is the cause.
        const double before = current_time();
        node.scope->cancel();
        node.by_deadline = node.deadline <= before;
        node.is_unsure = !node.by_deadline && node.deadline <= current_time();
    } else {
        node.scope->cancel();
    }
    node.called = true;
    look();
}

void Fuzz::set_deadline(FuzzNode& node, double deadline) {
    look();
    node.scope->set_deadline(deadline);
    node.deadline = deadline;
    look();
}

void Fuzz::set_shield(FuzzNode& node, bool shield) {
    look();
    node.scope->set_shield(shield);
    node.shield = shield;
    look();
}

void Fuzz::note_end(FuzzGroup& group, const std::exception_ptr& error) {
    if (!error) {
        return;
    }
    (concurrency::is_cancelled(error) ? group.has_cancellation : group.has_error) =
        true;
    if (!cancelled(group.node)) {
        group.node.called = true;
        look();
    }
}

void Fuzz::enter(FuzzNode& node) {
    nodes_.push_back(&node);
    look();
}

void Fuzz::leave(FuzzNode& node) {
    look();
    nodes_.erase(std::find(nodes_.begin(), nodes_.end(), &node));
}

bool Fuzz::can_end(const FuzzNode& node) {
    const FuzzNode* at = &node;
    while (at != nullptr && at->scope == nullptr) {
        at = at->parent;
    }
    return at != nullptr;
}

FuzzNode* Fuzz::any_node() {
    std::vector<FuzzNode*> usable;
    std::copy_if(
        nodes_.begin(),
        nodes_.end(),
        std::back_inserter(usable),
        [](const FuzzNode* node) { return node->scope != nullptr; }
    );
    return usable.empty() ? nullptr
                          : usable[random_() % static_cast<unsigned>(usable.size())];
}

void Fuzz::end(FuzzWait& wait) {
    look();
    waits_.erase(std::find(waits_.begin(), waits_.end(), &wait));
}

void Fuzz::check_end(FuzzWait& wait, bool before, bool threw, double until) {
    end(wait);
    if (threw) {
        expect(
            before || wait.cancelled_at != concurrency::inf,
            "Cancelled where nothing is cancelled"
        );
    } else {
        expect(!before, "a wait in a cancelled scope has not thrown");
        expect(current_time() >= until, "a wait has ended early");
        expect(wait.cancelled_at >= until, "a cancelled wait has not thrown");
    }
}

void Fuzz::check_open_end(FuzzWait& wait, bool before, bool threw) {
    end(wait);
    if (threw) {
        expect(
            before || wait.cancelled_at != concurrency::inf,
            "Cancelled where nothing is cancelled"
        );
    } else {
        expect(!before, "a call in a cancelled scope has not thrown");
    }
}

int count_errors(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const concurrency::BaseExceptionGroup& group) {
        int count = 0;
        for (const std::exception_ptr& member : group.exceptions()) {
            count += count_errors(member);
        }
        return count;
    } catch (const FuzzError&) {
        return 1;
    } catch (...) {
        return 0;
    }
}

FuzzEnd end_of(const std::exception_ptr& error) {
    if (!error) {
        return FuzzEnd::returned;
    }
    try {
        std::rethrow_exception(error);
    } catch (const concurrency::Cancelled&) {
        return FuzzEnd::cancelled;
    } catch (const concurrency::RuntimeError&) {
        return FuzzEnd::runtime_error;
    } catch (const concurrency::ValueError&) {
        return FuzzEnd::value_error;
    } catch (const concurrency::WouldBlock&) {
        return FuzzEnd::would_block;
    } catch (const concurrency::ClosedResourceError&) {
        return FuzzEnd::closed;
    } catch (const concurrency::BrokenResourceError&) {
        return FuzzEnd::broken;
    } catch (const concurrency::EndOfStream&) {
        return FuzzEnd::ended;
    } catch (...) {
        return FuzzEnd::failed;
    }
}

Task<FuzzEnd> end_of(Task<> call) {
    std::exception_ptr error;
    try {
        co_await std::move(call);
    } catch (...) {
        error = std::current_exception();
    }
    co_return end_of(error);
}

}  // namespace test
