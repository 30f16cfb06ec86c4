// SPDX-License-Identifier: BSL-1.0
// A random program of tasks, and a model of its scopes that says at each step whether
// it is cancelled. What it does is a table of operations; each part of the library adds
// its own.
#pragma once

#include "concurrency/cancel.hpp"
#include "concurrency/checkpoint.hpp"
#include "concurrency/task_group.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// What the model knows of a scope: whose bounds it lies in, and what cancelled it.
struct FuzzNode {
    FuzzNode* parent = nullptr;
    concurrency::CancelScope* scope = nullptr;  // null if nobody else may use it
    bool shield = false;
    bool called = false;
    bool by_deadline = false;
    double deadline = concurrency::inf;
    bool keeps_shield = false;  // nobody is to take it away
    bool is_unsure = false;     // cancelled by hand just when its deadline passed
};

/// A group that is open.
struct FuzzGroup {
    FuzzNode node;
    std::optional<concurrency::TaskGroup> handle;
    int alive = 0;
    bool has_error = false;
    bool has_cancellation = false;
};

/// Where a step of a task takes place: its innermost scope, and the group that it may
/// start tasks in.
struct FuzzPlace {
    FuzzNode* node;
    FuzzGroup* group;
};

/// A task that waits where a cancellation ends that.
struct FuzzWait {
    FuzzNode* node;
    FuzzNode* takes_down = nullptr;  // what start() cancels, if it is
    bool is_over = false;            // what it waited for has happened
    double cancelled_at = concurrency::inf;
};

/// An error that a step throws. Each has to arrive in the end.
struct FuzzError : std::runtime_error {
    FuzzError() : std::runtime_error("an error of the fuzzer") {}
};

class Fuzz;
struct FuzzWorld;

struct FuzzOperation {
    const char* name;
    unsigned weight;
    concurrency::Task<> (*run)(Fuzz& fuzz, FuzzPlace at);
};

using FuzzOperations = std::vector<FuzzOperation>;

// The operations, part by part.
FuzzOperations block_operations();
FuzzOperations primitive_operations();
FuzzOperations condition_operations();
FuzzOperations stream_operations();
FuzzOperations priority_queue_operations();
FuzzOperations pattern_operations();
FuzzOperations thread_operations();

/// Whether time passes only when nothing else is to be done, so that all of the model
/// is exact, or whether the loop is to say when a deadline has passed.
enum class FuzzTime { mocked, real };

struct FuzzOptions {
    std::uint32_t seed = 0;
    FuzzTime time = FuzzTime::mocked;
    int steps = 300;
};

class Fuzz {
public:
    Fuzz(FuzzOptions options, const FuzzOperations& operations, FuzzWorld& shared);

    Fuzz(const Fuzz&) = delete;
    Fuzz& operator=(const Fuzz&) = delete;

    /// The program, as the main task.
    concurrency::Task<> main();

    /// Calls this at a random step.
    void stop_somewhere(std::function<void()> stop) {
        stop_ = std::move(stop);
        stop_at_ = 1 + below(budget_);
    }

    /// Up to so many random operations, one after another.
    concurrency::Task<> steps(FuzzPlace at, int most);

    /// 0 to most - 1.
    int below(int most) {
        return static_cast<int>(random_() % static_cast<unsigned>(most));
    }

    bool chance(int percent) { return below(100) < percent; }

    /// A time of the clock's, exact and often the same as another; a real one is short.
    double delay(int least = 0) {
        return (least + below(40)) / (is_real() ? 65536.0 : 64.0);
    }

    bool is_real() const noexcept { return time_ == FuzzTime::real; }

    // -- The model.

    /// Whether the next checkpoint there throws.
    bool cancelled(const FuzzNode& node);

    /// Whether that scope was cancelled itself.
    bool called(FuzzNode& node);

    /// When what is there ends at the latest, as effective_deadline() tells.
    std::optional<double> deadline_of(const FuzzNode& node);

    /// Before and after each change of the model: who waits learns of it.
    void look();

    void cancel(FuzzNode& node);
    void set_deadline(FuzzNode& node, double deadline);
    void set_shield(FuzzNode& node, bool shield);

    /// The body or a task of the group has ended with this.
    void note_end(FuzzGroup& group, const std::exception_ptr& error);

    /// The scope is entered, and others may use it until it is left.
    void enter(FuzzNode& node);
    void leave(FuzzNode& node);

    /// Whether somebody may cancel what waits there.
    static bool can_end(const FuzzNode& node);

    /// One that is entered, or null.
    FuzzNode* any_node();

    void begin(FuzzWait& wait) { waits_.push_back(&wait); }

    void end(FuzzWait& wait);

    /// Ends a wait, after which it was cancelled or not: complains if that is wrong.
    /// `until`: before that time nothing but a cancellation ends it.
    void check_end(FuzzWait& wait, bool before, bool threw, double until);

    /// The same for one that waits for something else than a time, and whose end the
    /// model does not know.
    void check_open_end(FuzzWait& wait, bool before, bool threw);

    /// Everybody who waits is cancelled.
    void cancel_all();

    // -- What is found.

    void expect(bool holds, const std::string& what) {
        if (!holds && problem_.empty()) {
            problem_ = what + ", in " + operation_ + ", step " + std::to_string(step_);
        }
    }

    /// The first thing that was wrong, or nothing.
    const std::string& problem() const noexcept { return problem_; }

    int thrown = 0;            // errors
    int arrived = 0;           // errors, out of a group
    int frames = 0;            // of steps() that are there
    int tasks = 0;             // that were started
    int cancelled_blocks = 0;  // that absorbed a cancellation
    FuzzWorld& world;          // what the tasks share

private:
    const FuzzOperation& choose();
    concurrency::Task<> end_all(concurrency::TaskGroup group, bool& is_over);

    const FuzzOperations& operations_;
    const FuzzTime time_;
    std::mt19937 random_;
    std::discrete_distribution<std::size_t> choice_;
    std::size_t chosen_ = 0;  // of the operations, the last one
    int times_ = 0;           // that it is done again
    int budget_;
    std::function<void()> stop_;
    int stop_at_ = 0;
    int step_ = 0;
    const char* operation_ = "nothing";
    std::vector<FuzzNode*> nodes_;
    std::vector<FuzzWait*> waits_;
    std::string problem_;
};

/// How many errors of the fuzzer are in this.
int count_errors(const std::exception_ptr& error);

/// How a call ended.
enum class FuzzEnd {
    returned,
    cancelled,
    runtime_error,
    value_error,
    would_block,
    closed,
    broken,
    ended,
    failed,  // with anything else
};

FuzzEnd end_of(const std::exception_ptr& error);

/// Awaits a call that returns nothing, and tells how it ended.
concurrency::Task<FuzzEnd> end_of(concurrency::Task<> call);

}  // namespace test
