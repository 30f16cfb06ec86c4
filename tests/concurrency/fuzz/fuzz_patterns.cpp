// SPDX-License-Identifier: BSL-1.0
// race, gather, bounded_map, CompletionStream and retry: every coroutine has ended when
// the pattern has, and what comes out is what has to.
#include "concurrency/bounded_map.hpp"
#include "concurrency/checkpoint.hpp"
#include "concurrency/completion_stream.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/gather.hpp"
#include "concurrency/outcome.hpp"
#include "concurrency/race.hpp"
#include "concurrency/retry.hpp"
#include "fuzz_world.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

using concurrency::Outcome;
using concurrency::Task;

namespace test {

namespace {

/// What the model knows of a pattern that runs: its group, whose scope nobody else
/// uses, and how its coroutines have ended.
struct Pattern {
    explicit Pattern(FuzzPlace at, bool races, bool takes_errors)
        : place(at), is_race(races), errors_too(takes_errors) {
        group.node.parent = at.node;
    }

    FuzzPlace place;
    FuzzGroup group;
    const bool is_race;
    const bool errors_too;  // are results
    int begun = 0;
    int most_alive = 0;
    int ended_first = -1;  // of a race, with a value or an error
    bool first_failed = false;
    int kept_errors = 0;  // in results
};

void note_end(
    Fuzz& fuzz, Pattern& pattern, int number, const std::exception_ptr& error
) {
    if (concurrency::is_cancelled(error)) {
        fuzz.note_end(pattern.group, error);
    } else if (pattern.is_race) {
        if (pattern.ended_first < 0) {
            fuzz.look();
            pattern.ended_first = number;
            pattern.first_failed = error != nullptr;
            pattern.kept_errors = error ? count_errors(error) : 0;
            pattern.group.node.called = true;
            fuzz.look();
        } else if (error) {
            fuzz.arrived += count_errors(error);  // nobody gets it
        }
    } else if (error && pattern.errors_too) {
        pattern.kept_errors += count_errors(error);
    } else {
        fuzz.note_end(pattern.group, error);
    }
}

Task<int> run_one(Fuzz& fuzz, Pattern& pattern, int number) {
    ++pattern.begun;
    ++pattern.group.alive;
    ++fuzz.tasks;
    pattern.most_alive = std::max(pattern.most_alive, pattern.group.alive);
    std::exception_ptr error;
    try {
        co_await fuzz.steps({&pattern.group.node, pattern.place.group}, fuzz.below(5));
    } catch (...) {
        error = std::current_exception();
    }
    --pattern.group.alive;
    note_end(fuzz, pattern, number, error);
    if (error) {
        std::rethrow_exception(error);
    }
    co_return number;
}

std::vector<Task<int>> some(Fuzz& fuzz, Pattern& pattern, int count) {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < count; ++i) {
        tasks.push_back(run_one(fuzz, pattern, i));
    }
    return tasks;
}

/// What is left to say when the pattern has ended.
struct Leaving {
    bool around = false;     // a scope around is cancelled
    bool cancelled = false;  // it ended with Cancelled
    bool failed = false;     // with an error
};

Leaving leave(Fuzz& fuzz, Pattern& pattern, const std::exception_ptr& error) {
    Leaving now;
    now.around = fuzz.cancelled(*pattern.place.node);
    now.cancelled = concurrency::is_cancelled(error);
    now.failed = error != nullptr && !now.cancelled;
    fuzz.leave(pattern.group.node);
    fuzz.expect(pattern.group.alive == 0, "a coroutine outlives its pattern");
    return now;
}

// What came out of it goes on, or ends here.
void pass_on(Fuzz& fuzz, Pattern& pattern, const std::exception_ptr& error) {
    if (!error) {
        return;
    }
    if (!concurrency::is_cancelled(error) &&
        (pattern.place.group == nullptr || fuzz.chance(70))) {
        fuzz.arrived += count_errors(error);
        return;
    }
    std::rethrow_exception(error);
}

// -- race.

Task<> run_race(Fuzz& fuzz, FuzzPlace at) {
    Pattern pattern(at, true, false);
    const int count = 1 + fuzz.below(3);
    auto racers = some(fuzz, pattern, count);
    fuzz.enter(pattern.group.node);
    std::exception_ptr error;
    int winner = -1;
    try {
        winner = co_await concurrency::race(std::move(racers));
    } catch (...) {
        error = std::current_exception();
    }
    const Leaving now = leave(fuzz, pattern, error);
    const bool has_winner = pattern.ended_first >= 0;
    const bool cancelled =
        !has_winner || (pattern.group.has_cancellation && now.around);
    fuzz.expect(pattern.begun == count, "a racer has not begun");
    fuzz.expect(now.cancelled == cancelled, "who cancels a race");
    if (!cancelled) {
        fuzz.expect(now.failed == pattern.first_failed, "how a race ended");
        fuzz.expect(now.failed || winner == pattern.ended_first, "who won a race");
    } else {
        fuzz.arrived += pattern.kept_errors;  // of a winner that nobody heard of
    }
    pass_on(fuzz, pattern, error);
}

// -- gather and bounded_map.

// All have begun, unless the end came before.
void check_all(
    Fuzz& fuzz, Pattern& pattern, int count, const std::exception_ptr& error
) {
    const Leaving now = leave(fuzz, pattern, error);
    FuzzGroup& group = pattern.group;
    const bool cancelled =
        !group.has_error && (group.has_cancellation || pattern.begun < count);
    fuzz.expect(now.cancelled == cancelled, "who cancels a pattern");
    fuzz.expect(now.failed == group.has_error, "how a pattern ended");
    if (error) {
        fuzz.arrived += pattern.kept_errors;  // nobody gets the results
    }
}

void check_numbers(Fuzz& fuzz, const std::vector<int>& numbers, int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    fuzz.expect(numbers == all, "the results of a pattern");
}

void check_outcomes(
    Fuzz& fuzz, Pattern& pattern, std::vector<Outcome<int>>& outcomes, int count
) {
    int errors = 0;
    fuzz.expect(outcomes.size() == static_cast<std::size_t>(count), "how many results");
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        if (outcomes[i].has_value()) {
            fuzz.expect(outcomes[i].value() == static_cast<int>(i), "an outcome");
        } else {
            errors += count_errors(outcomes[i].error());
        }
    }
    fuzz.expect(errors == pattern.kept_errors, "the errors among the results");
    fuzz.arrived += errors;
}

Task<> run_gather(Fuzz& fuzz, FuzzPlace at) {
    Pattern pattern(at, false, fuzz.chance(40));
    const int count = 1 + fuzz.below(3);
    auto tasks = some(fuzz, pattern, count);
    fuzz.enter(pattern.group.node);
    std::exception_ptr error;
    std::vector<int> numbers;
    std::vector<Outcome<int>> outcomes;
    try {
        if (pattern.errors_too) {
            outcomes = co_await concurrency::gather(
                concurrency::return_exceptions, std::move(tasks)
            );
        } else if (count == 2) {
            auto both =
                co_await concurrency::gather(std::move(tasks[0]), std::move(tasks[1]));
            numbers = {std::get<0>(both), std::get<1>(both)};
        } else {
            numbers = co_await concurrency::gather(std::move(tasks));
        }
    } catch (...) {
        error = std::current_exception();
    }
    check_all(fuzz, pattern, count, error);
    if (!error && pattern.errors_too) {
        check_outcomes(fuzz, pattern, outcomes, count);
    } else if (!error) {
        check_numbers(fuzz, numbers, count);
    }
    pass_on(fuzz, pattern, error);
}

Task<> run_bounded_map(Fuzz& fuzz, FuzzPlace at) {
    Pattern pattern(at, false, fuzz.chance(40));
    const int count = 1 + fuzz.below(5);
    const int limit = 1 + fuzz.below(3);
    std::vector<int> items(static_cast<std::size_t>(count));
    std::iota(items.begin(), items.end(), 0);
    auto work = [&](int number) {
        return run_one(fuzz, pattern, number);
    };
    fuzz.enter(pattern.group.node);
    std::exception_ptr error;
    std::vector<int> numbers;
    std::vector<Outcome<int>> outcomes;
    try {
        if (pattern.errors_too) {
            outcomes = co_await concurrency::bounded_map(
                concurrency::return_exceptions, work, items, limit
            );
        } else {
            numbers = co_await concurrency::bounded_map(work, items, limit);
        }
    } catch (...) {
        error = std::current_exception();
    }
    fuzz.expect(pattern.most_alive <= limit, "more at a time than the limit says");
    check_all(fuzz, pattern, count, error);
    if (!error && pattern.errors_too) {
        check_outcomes(fuzz, pattern, outcomes, count);
    } else if (!error) {
        check_numbers(fuzz, numbers, count);
    }
    pass_on(fuzz, pattern, error);
}

// -- CompletionStream.

struct Taking {
    Fuzz& fuzz;
    Pattern& pattern;
    int most;
    std::set<std::size_t> seen;
    int errors = 0;
    bool has_ended = false;  // nothing more came
};

Task<> take(Taking& taking, concurrency::CompletionStream<int>& stream) {
    Fuzz& fuzz = taking.fuzz;
    Pattern& pattern = taking.pattern;
    std::exception_ptr error;
    try {
        for (int i = 0; i < taking.most; ++i) {
            FuzzWait wait{&pattern.group.node};
            fuzz.begin(wait);
            std::exception_ptr thrown;
            std::optional<std::pair<std::size_t, Outcome<int>>> next;
            try {
                next = co_await stream.next();
            } catch (...) {
                thrown = std::current_exception();
            }
            fuzz.end(wait);
            if (thrown) {
                fuzz.expect(
                    concurrency::is_cancelled(thrown) &&
                        wait.cancelled_at != concurrency::inf,
                    "what next() of a stream throws"
                );
                std::rethrow_exception(thrown);
            }
            if (!next) {
                taking.has_ended = true;
                break;
            }
            fuzz.expect(taking.seen.insert(next->first).second, "an outcome twice");
            if (next->second.has_value()) {
                fuzz.expect(
                    next->second.value() == static_cast<int>(next->first),
                    "an outcome of another coroutine"
                );
            } else {
                taking.errors += count_errors(next->second.error());
            }
            co_await fuzz.steps(
                {&pattern.group.node, pattern.place.group}, fuzz.below(2)
            );
        }
    } catch (...) {
        error = std::current_exception();
    }
    fuzz.note_end(pattern.group, error);
    fuzz.look();
    pattern.group.node.called = true;
    fuzz.look();
    if (error) {
        std::rethrow_exception(error);
    }
}

Task<> run_completion_stream(Fuzz& fuzz, FuzzPlace at) {
    Pattern pattern(at, false, fuzz.chance(50));
    const int count = fuzz.below(4);
    const concurrency::CompletionStreamOptions options{
        .limit =
            fuzz.chance(50) ? std::optional<long>(1 + fuzz.below(2)) : std::nullopt,
        .return_exceptions = pattern.errors_too};
    concurrency::CompletionStream<int> stream(some(fuzz, pattern, count), options);
    Taking taking{fuzz, pattern, fuzz.below(6), {}};
    const auto body = [&](concurrency::CompletionStream<int>& of) {
        return take(taking, of);
    };
    fuzz.enter(pattern.group.node);
    std::exception_ptr error;
    try {
        co_await stream.run(body);
    } catch (...) {
        error = std::current_exception();
    }
    const Leaving now = leave(fuzz, pattern, error);
    FuzzGroup& group = pattern.group;
    fuzz.expect(
        pattern.most_alive <= options.limit.value_or(count), "more than the limit says"
    );
    fuzz.expect(
        !taking.has_ended || taking.seen.size() == static_cast<std::size_t>(count),
        "a stream ended before all outcomes had come"
    );
    fuzz.expect(
        stream.completed() >= taking.seen.size(), "how many outcomes were given"
    );
    fuzz.expect(now.failed == group.has_error, "how a stream ended");
    fuzz.expect(!now.cancelled || now.around, "who cancels a stream");
    fuzz.expect(
        now.cancelled || group.has_error || !group.has_cancellation || !now.around,
        "a stream that is cancelled around"
    );
    fuzz.expect(taking.errors <= pattern.kept_errors, "the errors of a stream");
    fuzz.arrived += pattern.kept_errors;
    pass_on(fuzz, pattern, error);
}

// -- retry.

struct Trying {
    Fuzz& fuzz;
    int fails;  // so often
    int calls = 0;
};

Task<int> try_once(Trying& trying) {
    Fuzz& fuzz = trying.fuzz;
    ++trying.calls;
    co_await concurrency::checkpoint();
    if (trying.calls <= trying.fails) {
        ++fuzz.thrown;
        ++fuzz.arrived;
        throw FuzzError();
    }
    co_return trying.calls;
}

Task<> run_retry(Fuzz& fuzz, FuzzPlace at) {
    Trying trying{fuzz, fuzz.below(4)};
    const int attempts = 1 + fuzz.below(3);
    const double pause = fuzz.delay(1);
    auto options = concurrency::RetryOptions()
                       .attempts(attempts)
                       .base_delay(pause)
                       .max_delay(2 * pause)
                       .jitter(0);
    auto call = [&] {
        return try_once(trying);
    };
    FuzzWait wait{at.node};
    const bool before = fuzz.cancelled(*at.node);
    fuzz.begin(wait);
    std::exception_ptr error;
    int result = 0;
    try {
        result = co_await concurrency::retry(call, options);
    } catch (...) {
        error = std::current_exception();
    }
    fuzz.end(wait);
    const FuzzEnd end = end_of(error);
    const bool was_cancelled = before || wait.cancelled_at != concurrency::inf;
    if (end == FuzzEnd::cancelled) {
        fuzz.expect(was_cancelled, "a retry was cancelled where nothing is");
        std::rethrow_exception(error);
    }
    fuzz.expect(!before, "a retry in a cancelled scope");
    if (end == FuzzEnd::returned) {
        fuzz.expect(result == trying.fails + 1, "the result of a retry");
        fuzz.expect(trying.calls == trying.fails + 1, "the calls of a retry");
    } else {
        fuzz.expect(count_errors(error) == 1, "the error of a retry");
        // It gives up when a deadline has passed, which nobody may have looked at yet.
        fuzz.expect(
            trying.calls == attempts || was_cancelled || fuzz.is_real(),
            "a retry that gives up early"
        );
    }
}

}  // namespace

FuzzOperations pattern_operations() {
    return {
        {"race", 7, run_race},
        {"gather", 7, run_gather},
        {"bounded_map", 7, run_bounded_map},
        {"CompletionStream", 7, run_completion_stream},
        {"retry", 6, run_retry},
    };
}

}  // namespace test
