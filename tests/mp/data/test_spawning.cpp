// SPDX-License-Identifier: BSL-1.0
// What is handed over while a process is being started.
#include "mp/errors.hpp"

#include "data/spawning.hpp"
#include "support/catch.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

TEST_CASE("spawning: outside of a start nothing is handed over", "[spawning]") {
    CHECK_FALSE(mp::detail::spawning());
    try {
        mp::detail::hand_over(0, "a queue");
        FAIL("it was handed over");
    } catch (const mp::StateError& error) {
        CHECK(std::string(error.what()).find("a queue") == 0);
    }
}

TEST_CASE("spawning: descriptors are duplicated and taken once", "[spawning]") {
    std::vector<mp::UniqueFd> travelling;
    {
        mp::detail::SpawningScope scope;
        CHECK(mp::detail::spawning());
        CHECK(mp::detail::hand_over(0) == 0);
        CHECK(mp::detail::hand_over(1) == 1);
        travelling = scope.take();
    }
    CHECK_FALSE(mp::detail::spawning());
    REQUIRE(travelling.size() == 2);
    CHECK((::fcntl(travelling[0].get(), F_GETFD) & FD_CLOEXEC) != 0);

    mp::detail::set_received_fds(std::move(travelling));
    const mp::UniqueFd taken = mp::detail::take_over(1);
    struct stat a {};
    struct stat b {};
    REQUIRE(::fstat(1, &a) == 0);
    REQUIRE(::fstat(taken.get(), &b) == 0);
    CHECK(a.st_ino == b.st_ino);
    CHECK_THROWS_AS(mp::detail::take_over(1), mp::SerializationError);
    CHECK_THROWS_AS(mp::detail::take_over(2), mp::SerializationError);
    mp::detail::set_received_fds({});
}

TEST_CASE("spawning: a number that is no descriptor is an error", "[spawning]") {
    const mp::detail::SpawningScope scope;
    CHECK_THROWS_AS(mp::detail::hand_over(-1), std::system_error);
}
