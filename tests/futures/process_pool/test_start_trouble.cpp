// SPDX-License-Identifier: BSL-1.0
// Workers that do not start: which of them are tried again, and how often.
#include "mp/errors.hpp"

#include "data/ended_early.hpp"
#include "process_pool/start_trouble.hpp"
#include "support/catch.hpp"

#include <signal.h>

#include <exception>
#include <new>
#include <system_error>

using futures::detail::StartFailure;
using futures::detail::StartTrouble;
using mp::detail::EndedEarly;

namespace {

template <class E>
StartFailure kind_of(const E& error) {
    return StartTrouble::kind_of(std::make_exception_ptr(error));
}

StartFailure kind_of_caused_by(std::errc code) {
    try {
        try {
            throw std::system_error(std::make_error_code(code));
        } catch (...) {
            std::throw_with_nested(mp::SpawnError(mp::SpawnStage::os, "cannot"));
        }
    } catch (...) {
        return StartTrouble::kind_of(std::current_exception());
    }
}

}  // namespace

TEST_CASE("Start trouble: what a new attempt may cure", "[pool]") {
    using mp::SpawnStage;
    CHECK(
        kind_of(EndedEarly(SpawnStage::handshake, "killed", -SIGKILL)) ==
        StartFailure::ended
    );
    CHECK(
        kind_of_caused_by(std::errc::resource_unavailable_try_again) ==
        StartFailure::shortage
    );
    CHECK(kind_of_caused_by(std::errc::too_many_files_open) == StartFailure::shortage);
    CHECK(kind_of(std::bad_alloc()) == StartFailure::shortage);
    CHECK(
        kind_of_caused_by(std::errc::no_such_file_or_directory) == StartFailure::refused
    );
    CHECK(kind_of(mp::SpawnError(SpawnStage::exec, "none")) == StartFailure::refused);
    CHECK(kind_of(mp::BinaryMismatch("another")) == StartFailure::refused);
}

TEST_CASE(
    "billiard::restart_state::startup_burst: workers that end before their first task "
    "have a limit of their own",
    "[pool]"
) {
    using End = StartTrouble::End;
    StartTrouble ends;
    for (int i = 0; i < 8; ++i) {
        REQUIRE(ends.ended(End::by_itself));
    }
    CHECK_FALSE(ends.ended(End::by_itself));
    CHECK(ends.deaths() == 9);
    ends.began();
    CHECK(ends.ended(End::by_itself));
    // Who kills them has to be survived for longer.
    StartTrouble kills;
    for (int i = 0; i < 64; ++i) {
        REQUIRE(kills.ended(End::killed));
    }
    CHECK_FALSE(kills.ended(End::killed));
    // Unless it may be their initializer that does.
    StartTrouble initializer;
    for (int i = 0; i < 16; ++i) {
        REQUIRE(initializer.ended(End::killed_in_initializer));
    }
    CHECK_FALSE(initializer.ended(End::killed_in_initializer));
}

TEST_CASE("Start trouble: the system is asked again a few times", "[pool]") {
    StartTrouble trouble;
    const StartTrouble::Clock::time_point now{};
    auto last = now;
    for (int i = 0; i < 4; ++i) {
        const auto next = trouble.shortage(now);
        REQUIRE(next);
        CHECK(*next > last);
        last = *next;
    }
    CHECK_FALSE(trouble.shortage(now));
}
