// SPDX-License-Identifier: BSL-1.0
// What a task throws must reach its caller, whatever it is.
#include "mp/remote_error.hpp"

#include "support/catch.hpp"
#include "support/cause_of.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <exception>
#include <future>
#include <ios>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

using test::cause_of;

namespace {

using namespace mp::detail;

template <class E>
std::exception_ptr thrown(const E& error) {
    return std::make_exception_ptr(error);
}

std::exception_ptr sent(const std::exception_ptr& error) {
    ByteWriter out;
    encode_exception(out, error, "worker");
    ByteReader in(out.data());
    return decode_exception(in);
}

mp::RemoteError as_remote(const std::exception_ptr& error) {
    REQUIRE(error != nullptr);
    try {
        std::rethrow_exception(error);
    } catch (const mp::RemoteError& e) {
        return e;
    }
}

std::string what_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    }
}

class NeedsNumbers : public std::exception {
public:
    NeedsNumbers(int a, int b)
        : text_(std::to_string(a) + " is not " + std::to_string(b)) {}

    const char* what() const noexcept override { return text_.c_str(); }

private:
    std::string text_;
};

/// Can be made from a text, but copies only as often as it is told.
struct CopyThrows : std::runtime_error {
    explicit CopyThrows(const std::string& text) : std::runtime_error(text) {}

    CopyThrows(const CopyThrows& other) : std::runtime_error(other) {
        if (copies_left == 0) {
            throw std::logic_error("no more copies");
        }
        --copies_left;
    }

    static inline int copies_left = 0;
};

struct SerializeThrows : std::exception {
    const char* what() const noexcept override { return "cannot be written"; }

    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::logic_error("no");
    }
};

struct MakingThrows : std::exception {
    MakingThrows() = default;

    explicit MakingThrows(const std::string&) { throw 7; }

    const char* what() const noexcept override { return "cannot be made"; }
};

struct NullWhat : std::exception {
    const char* what() const noexcept override { return nullptr; }
};

struct WhatCrashes : std::exception {
    const char* what() const noexcept override {
        std::signal(SIGSEGV, SIG_DFL);
        std::raise(SIGSEGV);
        return "";
    }
};

const bool known =
    (mp::register_exception<CopyThrows>(),
     mp::register_exception<SerializeThrows>(),
     mp::register_exception<MakingThrows>(),
     true);

std::exception_ptr chain(int causes) {
    std::exception_ptr error = thrown(std::runtime_error("cause 0"));
    for (int i = 1; i <= causes; ++i) {
        try {
            try {
                std::rethrow_exception(error);
            } catch (...) {
                std::throw_with_nested(std::runtime_error("cause " + std::to_string(i))
                );
            }
        } catch (...) {
            error = std::current_exception();
        }
    }
    return error;
}

}  // namespace

TEST_CASE("F1: an unregistered type without default constructor gives RemoteError") {
    const auto error = sent(thrown(NeedsNumbers(1, 2)));
    CHECK(as_remote(error).type_name.ends_with("NeedsNumbers"));
    CHECK(what_of(error) == "1 is not 2");
    const std::string place = what_of(cause_of(error));
    CHECK(place.starts_with("in worker: "));
    CHECK(place.ends_with("NeedsNumbers: 1 is not 2"));
}

TEST_CASE("F2: a type whose copy constructor throws gives RemoteError") {
    CopyThrows::copies_left = 100;
    const auto original = thrown(CopyThrows("shy"));
    CHECK_THROWS_AS(std::rethrow_exception(sent(original)), CopyThrows);
    CopyThrows::copies_left = 0;
    const auto error = sent(original);
    CHECK(as_remote(error).type_name.ends_with("CopyThrows"));
    CHECK(what_of(error) == "shy");
}

TEST_CASE("F2: types that cannot be written or made give RemoteError with their text") {
    CHECK(what_of(sent(thrown(SerializeThrows()))) == "cannot be written");
    CHECK(as_remote(sent(thrown(SerializeThrows()))).type_name.ends_with("Throws"));
    CHECK(what_of(sent(thrown(MakingThrows()))) == "cannot be made");
    CHECK(as_remote(sent(thrown(MakingThrows()))).type_name.ends_with("MakingThrows"));
    CHECK(what_of(sent(thrown(NullWhat()))).empty());
}

TEST_CASE("F3: a chain of 50 nested causes is kept, a longer one is cut with a marker"
) {
    const int causes = GENERATE(0, 1, 49, 50, 51, 300);
    CAPTURE(causes);
    const auto error = sent(chain(causes));
    CHECK(what_of(error) == "cause " + std::to_string(causes));
    const int kept = std::min(causes, 50);
    auto at = cause_of(error);  // the place
    for (int i = 1; i <= kept; ++i) {
        at = cause_of(at);
        REQUIRE(at != nullptr);
        if (i < 50 || causes == 50) {
            CHECK(what_of(at) == "cause " + std::to_string(causes - i));
        }
    }
    CHECK(cause_of(at) == nullptr);
    if (causes > 50) {
        CHECK(what_of(at).find("the rest is left out") != std::string::npos);
    }
}

TEST_CASE("F4: a text of 100 MB is cut and says so") {
    const auto error = sent(thrown(std::runtime_error(std::string(100'000'000, 'x'))));
    const std::string what = what_of(error);
    CHECK(what.size() < 64 * 1024 + 100);
    CHECK(what.ends_with("xxx ... [cut: 100000000 bytes]"));
}

TEST_CASE("F4: a text is not cut inside a character") {
    std::string text(longest_what - 1, 'x');
    text += "\u20ac and more";
    const std::string what = what_of(sent(thrown(std::runtime_error(text))));
    CHECK(what.find("x ... [cut: ") == longest_what - 2);
}

TEST_CASE("F4: texts with NULs and with bytes that are no UTF-8 pass") {
    const std::string bytes = "\xff\xfe\x80 latin \xe4";
    CHECK(what_of(sent(thrown(std::runtime_error(bytes)))) == bytes);
    // what() is a C string: it ends at the NUL on this side already.
    const auto nul = thrown(std::runtime_error(std::string("a\0b", 3)));
    CHECK(what_of(sent(nul)) == "a");
}

TEST_CASE(
    "F5: a what() that crashes ends the process that calls it, and nothing is sent"
) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ByteWriter out;
        encode_exception(out, thrown(WhatCrashes()));
        [[maybe_unused]] const auto n =
            ::write(ends[1], out.data().data(), out.data().size());
        ::_exit(0);
    }
    ::close(ends[1]);
    char byte = 0;
    CHECK(::read(ends[0], &byte, 1) == 0);
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGSEGV);
}

TEST_CASE("F6: each decode makes an exception of its own") {
    ByteWriter out;
    encode_exception(out, chain(3));
    const auto object = [&] {
        ByteReader in(out.data());
        return decode_exception(in);
    };
    const auto first = object();
    const auto second = object();
    CHECK(first != second);
    CHECK(cause_of(first) != cause_of(second));
    CHECK(what_of(cause_of(first)) == what_of(cause_of(second)));
    // Nothing is added to what was thrown.
    for (int i = 0; i < 10; ++i) {
        CHECK(what_of(cause_of(object())) == what_of(cause_of(first)));
    }
}

TEST_CASE("F7: error codes are equal after transit, category included") {
    const std::error_code codes[] = {
        {ENOENT, std::generic_category()},
        {ENOENT, std::system_category()},
        {-5, std::generic_category()},
        std::make_error_code(std::io_errc::stream),
        std::make_error_code(std::future_errc::no_state)};
    for (const auto& code : codes) {
        const std::system_error original(code, "doing it");
        try {
            std::rethrow_exception(sent(thrown(original)));
        } catch (const std::system_error& e) {
            CHECK(e.code() == code);
            CHECK(e.code().category() == code.category());
            CHECK(std::string(e.what()) == original.what());
        }
    }
}
