// SPDX-License-Identifier: BSL-1.0
// What a soak knows of each future: how it may end, and how it did.
#pragma once

#include "futures/errors.hpp"
#include "futures/future.hpp"
#include "mp/errors.hpp"

#include "faults/soak_tasks.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace soak {

/// How futures end; bits.
using Outcomes = std::uint32_t;

inline constexpr Outcomes value = 1;
inline constexpr Outcomes thrown = 2;
inline constexpr Outcomes cancelled = 4;
inline constexpr Outcomes timed_out = 8;
inline constexpr Outcomes lost = 16;
inline constexpr Outcomes over_limit = 32;
inline constexpr Outcomes broken = 64;
inline constexpr Outcomes dependency = 128;
inline constexpr Outcomes wrong = 256;

/// One future.
struct Record {
    /// What an end of what it depends on is for it.
    enum class Follows : std::uint8_t {
        as_task,     ///< DependencyError, or cancelled
        as_derived,  ///< the same end
        by_waiting,  ///< the same; it may also end by itself
    };

    std::uint32_t id = 0;
    const char* kind = "";
    Number expected = 0;
    Outcomes may = value;
    std::uint32_t most_runs = 1;
    bool counts_runs = true;
    bool in_processes = false;
    bool endless = false;       ///< ends only when it is cancelled
    bool cancel_asked = false;  ///< cancel(), with whatever answer
    bool never_ran = false;     ///< cancel() said so
    bool must_be_cancelled = false;
    Follows follows = Follows::as_task;
    std::vector<std::shared_ptr<Record>> bases{};  ///< what it depends on
    std::optional<futures::Future<Number>> future{};

    // Written by the callback.
    std::string text{};
    bool threw_cancelled = false;  ///< a CancelledError, as if it were any exception
    std::atomic<Outcomes> outcome{0};
    std::atomic<std::uint32_t> told{0};
};

using RecordPtr = std::shared_ptr<Record>;

struct Ending {
    Outcomes outcome = wrong;
    std::string text{};
};

inline Ending end_of(const futures::Future<Number>& future, Number expected) {
    try {
        const Number got = future.result();
        if (got == expected) {
            return {value};
        }
        return {wrong, std::to_string(got) + " instead of " + std::to_string(expected)};
    } catch (const futures::CancelledError& error) {
        return {cancelled, error.what()};
    } catch (const futures::DependencyError& error) {
        return {dependency, error.what()};
    } catch (const futures::TaskTimeout& error) {
        return {timed_out, error.what()};
    } catch (const futures::WorkerLost& error) {
        return {lost, error.what()};
    } catch (const futures::BrokenProcessPool& error) {
        return {broken, error.what()};
    } catch (const mp::ResourceLimitExceeded& error) {
        return {over_limit, error.what()};
    } catch (const Thrown& error) {
        return {thrown, error.what()};
    } catch (const std::exception& error) {
        return {wrong, error.what()};
    }
}

/// From now on the record is told of its end.
inline void follow(const RecordPtr& record) {
    record->future->add_done_callback([record](const futures::Future<Number>& future) {
        const Ending ending = end_of(future, record->expected);
        record->text = ending.text;
        record->threw_cancelled = ending.outcome == cancelled && !future.cancelled();
        record->outcome |= ending.outcome;
        ++record->told;
    });
}

/// A pool says so when its workers die faster than they can start.
inline bool tells_of_deaths(const std::string& text) {
    return text.find("in a row ended before their first task") != std::string::npos;
}

/// What is wrong with the end of this future; empty: nothing.
inline std::string fault_of(const Record& record, std::uint32_t runs) {
    const Outcomes outcome = record.outcome;
    if (record.told != 1) {
        return "ended " + std::to_string(record.told) + " times";
    }
    if (record.must_be_cancelled && outcome != cancelled) {
        return "was cancelled, and ended otherwise";
    }
    bool explained = (outcome & record.may) != 0 ||
                     (outcome == cancelled && record.cancel_asked) ||
                     (outcome == broken && record.in_processes &&
                      (record.may & lost) != 0 && tells_of_deaths(record.text));
    bool all_values = true;
    for (const RecordPtr& base : record.bases) {
        const Outcomes its = base->outcome;
        all_values = all_values && its == value;
        if (record.follows == Record::Follows::as_task) {
            const bool is_cancelled = its == cancelled && !base->threw_cancelled;
            explained = explained || (is_cancelled && outcome == cancelled) ||
                        (its != value && !is_cancelled && outcome == dependency);
        } else {
            explained = explained || its == outcome;
        }
    }
    if (!explained) {
        return "may not end so";
    }
    if (outcome == value && !all_values) {
        return "has a value, and what it depends on has none";
    }
    if (!record.counts_runs) {
        return "";
    }
    if (runs > record.most_runs || (record.never_ran && runs != 0) ||
        (outcome == dependency && runs != 0 &&
         record.follows == Record::Follows::as_task) ||
        (outcome == value && runs == 0) ||
        (outcome == value && record.most_runs == 1 && runs != 1)) {
        return "was run " + std::to_string(runs) + " times of " +
               std::to_string(record.most_runs);
    }
    return "";
}

}  // namespace soak
