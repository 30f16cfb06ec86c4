// SPDX-License-Identifier: BSL-1.0
// The exceptions: which `catch` gets them, and what they carry.
#include "mp/errors.hpp"

#include "support/catch.hpp"

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

TEST_CASE("errors: Python's bases catch what Python's bases catch", "[errors]") {
    // ValueError and AssertionError.
    STATIC_REQUIRE(std::is_base_of_v<std::invalid_argument, mp::StateError>);
    STATIC_REQUIRE(std::is_base_of_v<mp::ProcessError, mp::BufferTooShort>);
    STATIC_REQUIRE(std::is_base_of_v<mp::ProcessError, mp::TimeoutError>);
    STATIC_REQUIRE(std::is_base_of_v<mp::ProcessError, mp::AuthenticationError>);
    STATIC_REQUIRE(std::is_base_of_v<mp::ProcessError, mp::SpawnError>);
    STATIC_REQUIRE(std::is_base_of_v<mp::ProcessError, mp::BinaryMismatch>);
    STATIC_REQUIRE(std::is_base_of_v<mp::ProcessError, mp::SerializationError>);
    STATIC_REQUIRE_FALSE(std::is_base_of_v<mp::ProcessError, mp::EOFError>);
    STATIC_REQUIRE_FALSE(std::is_base_of_v<mp::ProcessError, mp::Empty>);
    STATIC_REQUIRE_FALSE(std::is_base_of_v<mp::ProcessError, mp::BrokenBarrierError>);
}

TEST_CASE("errors: the queue's say which it was", "[errors]") {
    CHECK(std::string(mp::Empty().what()) == "the queue is empty");
    CHECK(std::string(mp::Full().what()) == "the queue is full");
    CHECK(std::string(mp::ShutDown().what()) == "the queue is shut down");
    STATIC_REQUIRE_FALSE(std::is_base_of_v<mp::Empty, mp::ShutDown>);
}

TEST_CASE("BufferTooShort: has the message that did not fit", "[errors]") {
    const mp::BufferTooShort error(std::vector<std::byte>(5, std::byte{7}));
    CHECK(error.message == std::vector<std::byte>(5, std::byte{7}));
    CHECK_THAT(error.what(), test::ContainsSubstring("5 bytes"));
}

TEST_CASE("errors: they know the step at which it happened", "[errors]") {
    const mp::SpawnError spawn(mp::SpawnStage::exec, "no program");
    CHECK(spawn.stage == mp::SpawnStage::exec);
    CHECK(std::string(spawn.what()) == "no program");
    const mp::SerializationError encode(mp::SerializationPhase::encode, "no");
    CHECK(encode.phase == mp::SerializationPhase::encode);
    const mp::RemoteError remote("my::Error", "text");
    CHECK(remote.type_name == "my::Error");
    CHECK(std::string(remote.what()) == "text");
}

TEST_CASE("errors: a copy, as a throw makes one, keeps all of it", "[errors]") {
    try {
        throw mp::BufferTooShort({std::byte{1}, std::byte{2}});
    } catch (const mp::ProcessError& error) {
        const auto* const whole = dynamic_cast<const mp::BufferTooShort*>(&error);
        REQUIRE(whole != nullptr);
        CHECK(whole->message.size() == 2);
    }
}

TEST_CASE("SystemExit: a code, a verdict or a text", "[errors]") {
    CHECK(mp::SystemExit().code() == 0);
    CHECK(mp::SystemExit(7).code() == 7);
    CHECK(mp::SystemExit(-1).code() == -1);
    CHECK(mp::SystemExit(256).code() == 256);
    CHECK(mp::SystemExit(true).code() == 1);
    CHECK(mp::SystemExit(false).code() == 0);
    CHECK(mp::SystemExit(7).text().empty());
    // A literal is a text, not a verdict.
    CHECK(mp::SystemExit("why").code() == 1);
    CHECK(mp::SystemExit("why").text() == "why");
    CHECK(mp::SystemExit(std::string("why")).text() == "why");
}

TEST_CASE("SystemExit: passes by handlers of std::exception", "[errors]") {
    STATIC_REQUIRE_FALSE(std::is_base_of_v<std::exception, mp::SystemExit>);
    int code = 0;
    try {
        try {
            throw mp::SystemExit(3);
        } catch (const std::exception&) {
            code = 1;
        }
    } catch (const mp::SystemExit& exit) {
        code = exit.code();
    }
    CHECK(code == 3);
}
