// SPDX-License-Identifier: BSL-1.0
// What the rows of CPython's and of other pools' tests share: tasks and arguments that
// misbehave, and what a future is expected to say.
#pragma once

#include "futures/process_pool.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/cause_of.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace test::rows {

enum class Deed { none, throw_error, throw_exit, exit_process, exit_at_once, crash };

inline void commit(Deed deed) {
    switch (deed) {
    case Deed::none:
        return;
    case Deed::throw_error:
        throw std::domain_error("misbehaved");
    case Deed::throw_exit:
        throw mp::SystemExit(5);
    case Deed::exit_process:
        std::exit(0);
    case Deed::exit_at_once:
        ::_exit(0);
    case Deed::crash:
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
}

/// Does what it is told when it is written, or when it is read.
struct Misbehaving {
    Deed when_written = Deed::none;
    Deed when_read = Deed::none;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if constexpr (Archive::is_saving::value) {
            commit(when_written);
        }
        archive& when_written;
        archive& when_read;
        if constexpr (Archive::is_loading::value) {
            commit(when_read);
        }
    }
};

inline int take(const Misbehaving&) {
    return 1;
}

inline Misbehaving give(Deed when_written, Deed when_read) {
    return {when_written, when_read};
}

inline int commit_in_task(Deed deed) {
    commit(deed);
    return 1;
}

/// What is thrown by a future and all its causes, outermost first.
inline std::vector<std::string> texts_of(std::exception_ptr error) {
    std::vector<std::string> texts;
    while (error) {
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            texts.emplace_back(e.what());
        } catch (...) {
            texts.emplace_back("no std::exception");
        }
        error = test::cause_of(error);
    }
    return texts;
}

template <class T>
futures::WorkerLost expect_lost(const futures::Future<T>& future) {
    try {
        future.result(std::chrono::seconds(60));
    } catch (const futures::WorkerLost& error) {
        return error;
    }
    FAIL("no WorkerLost");
    std::abort();
}

/// The future fails with SerializationError of that phase.
template <class T>
void expect_unserialised(
    const futures::Future<T>& future, mp::SerializationPhase phase
) {
    try {
        future.result(std::chrono::seconds(60));
        FAIL_CHECK("no exception");
    } catch (const mp::SerializationError& error) {
        CHECK(error.phase == phase);
        CHECK_THAT(error.what(), test::ContainsSubstring("misbehaved"));
    }
}

}  // namespace test::rows
