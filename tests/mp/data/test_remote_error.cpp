// SPDX-License-Identifier: BSL-1.0
// Exceptions that travel: which come back as themselves, and what the others say.
#include "mp/remote_error.hpp"

#include "support/catch.hpp"
#include "support/cause_of.hpp"

#include <any>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

using test::cause_of;

namespace {

using namespace mp::detail;

std::vector<std::byte>
sent(const std::exception_ptr& error, std::string_view where = {}) {
    ByteWriter out;
    encode_exception(out, error, where);
    const auto bytes = out.data();
    return {bytes.begin(), bytes.end()};
}

std::exception_ptr received(const std::vector<std::byte>& bytes) {
    ByteReader in(bytes);
    auto error = decode_exception(in);
    CHECK(in.left() == 0);
    return error;
}

template <class E>
std::exception_ptr there_and_back(E error) {
    return received(sent(std::make_exception_ptr(std::move(error))));
}

/// The exception as an E; the test fails if it is none.
template <class E>
E caught(const std::exception_ptr& error) {
    REQUIRE(error != nullptr);
    try {
        std::rethrow_exception(error);
    } catch (const E& e) {
        return e;
    }
}

/// An exception of type E comes back as an E with the same text.
template <class E>
void keeps_type_and_text(E error) {
    const std::string what = error.what();
    const auto back = there_and_back(std::move(error));
    CHECK_NOTHROW(caught<E>(back));
    CHECK(caught<E>(back).what() == what);
    const auto cause = caught<mp::RemoteError>(cause_of(back));
    CHECK(std::string(cause.what()).find(what) != std::string::npos);
}

template <class... E>
void each_keeps_its_text() {
    (keeps_type_and_text(E("a text of its own")), ...);
}

template <class... E>
void each_is_made_by_default() {
    (keeps_type_and_text(E()), ...);
}

template <class E, class... Args>
[[noreturn]] void throw_from(const std::exception_ptr& cause, Args&&... args) {
    try {
        std::rethrow_exception(cause);
    } catch (...) {
        std::throw_with_nested(E(std::forward<Args>(args)...));
    }
}

template <class Throw>
std::exception_ptr thrown(Throw function) {
    try {
        function();
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

struct ParseError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Unknown : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class LineError : public std::exception {
public:
    LineError() = default;

    explicit LineError(int at) : line(at) { compose(); }

    const char* what() const noexcept override { return text_.c_str(); }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& line;
        compose();
    }

    int line = 0;

private:
    void compose() { text_ = "line " + std::to_string(line); }

    std::string text_;
};

struct Sealed final : std::runtime_error {
    using std::runtime_error::runtime_error;
};

const bool known =
    (mp::register_exception<ParseError>(),
     mp::register_exception<LineError>(),
     mp::register_exception<Sealed>(),
     mp::register_exception<ParseError>(),
     true);

struct Category : std::error_category {
    const char* name() const noexcept override { return "test"; }

    std::string message(int) const override { return "test message"; }
};

const Category& test_category() {
    static const Category category;
    return category;
}

struct StrangeCategory : Category {
    const char* name() const noexcept override { return "strange"; }
};

}  // namespace

TEST_CASE("remote_error: the standard exceptions come back as themselves") {
    each_keeps_its_text<
        std::logic_error,
        std::domain_error,
        std::invalid_argument,
        std::length_error,
        std::out_of_range,
        std::runtime_error,
        std::range_error,
        std::overflow_error,
        std::underflow_error>();
    each_is_made_by_default<
        std::exception,
        std::bad_exception,
        std::bad_alloc,
        std::bad_array_new_length,
        std::bad_cast,
        std::bad_typeid,
        std::bad_any_cast,
        std::bad_optional_access,
        std::bad_variant_access,
        std::bad_weak_ptr,
        std::bad_function_call>();
    keeps_type_and_text(std::regex_error(std::regex_constants::error_paren));
    keeps_type_and_text(std::future_error(std::future_errc::broken_promise));
    // A base class is not enough: these are told apart.
    CHECK_THROWS_AS(
        caught<std::invalid_argument>(there_and_back(std::logic_error("x"))),
        std::logic_error
    );
}

TEST_CASE("remote_error: mp's exceptions come back as themselves, with their fields") {
    each_keeps_its_text<
        mp::StateError,
        mp::ProcessError,
        mp::TimeoutError,
        mp::AuthenticationError,
        mp::BinaryMismatch,
        mp::EOFError,
        mp::OwnerDied,
        mp::BrokenBarrierError,
        mp::MaybeEncodingError,
        mp::ResourceLimitExceeded>();
    each_is_made_by_default<mp::Empty, mp::Full, mp::ShutDown>();
    const mp::SpawnError spawn(mp::SpawnStage::exec, "no such program");
    keeps_type_and_text(spawn);
    CHECK(caught<mp::SpawnError>(there_and_back(spawn)).stage == mp::SpawnStage::exec);
    const mp::SerializationError bad(mp::SerializationPhase::decode_task, "bad");
    keeps_type_and_text(bad);
    CHECK(
        caught<mp::SerializationError>(there_and_back(bad)).phase ==
        mp::SerializationPhase::decode_task
    );
    const mp::BufferTooShort buffer({std::byte{1}, std::byte{2}});
    keeps_type_and_text(buffer);
    CHECK(
        caught<mp::BufferTooShort>(there_and_back(buffer)).message ==
        std::vector<std::byte>{std::byte{1}, std::byte{2}}
    );
    const mp::RemoteError remote("app::Error", "text");
    keeps_type_and_text(remote);
    CHECK(caught<mp::RemoteError>(there_and_back(remote)).type_name == "app::Error");
}

TEST_CASE("remote_error: SystemExit travels with its status and text") {
    CHECK(caught<mp::SystemExit>(there_and_back(mp::SystemExit(3))).code() == 3);
    CHECK(caught<mp::SystemExit>(there_and_back(mp::SystemExit())).code() == 0);
    const auto exit = caught<mp::SystemExit>(there_and_back(mp::SystemExit("bye")));
    CHECK(exit.code() == 1);
    CHECK(exit.text() == "bye");
}

TEST_CASE("remote_error: what() is not told twice where a class composes it") {
    const std::error_code code(ENOENT, std::generic_category());
    keeps_type_and_text(std::system_error(code));
    keeps_type_and_text(std::system_error(code, "opening x"));
    keeps_type_and_text(std::system_error(code, ""));
    keeps_type_and_text(std::ios_base::failure("reading x", code));
    keeps_type_and_text(std::ios_base::failure("reading x"));
    using std::filesystem::filesystem_error;
    keeps_type_and_text(filesystem_error("stat", code));
    keeps_type_and_text(filesystem_error("stat", "/a", code));
    keeps_type_and_text(filesystem_error("rename", "/a", "/b", code));
    const auto back = there_and_back(filesystem_error("rename", "/a", "/b", code));
    CHECK(caught<filesystem_error>(back).path1() == "/a");
    CHECK(caught<filesystem_error>(back).path2() == "/b");
    CHECK(caught<filesystem_error>(back).code() == code);
}

TEST_CASE("remote_error: a code of a registered category is equal, others are told of"
) {
    mp::register_error_category(test_category());
    const std::error_code code(7, test_category());
    const auto back = there_and_back(std::system_error(code, "x"));
    CHECK(caught<std::system_error>(back).code() == code);

    const StrangeCategory strange;
    const auto other =
        there_and_back(std::system_error(std::error_code(7, strange), "x"));
    CHECK(caught<mp::RemoteError>(other).type_name == "std::system_error");
    CHECK(std::string(caught<mp::RemoteError>(other).what()) == "x: test message");
}

TEST_CASE("remote_error: a registered type comes back as itself") {
    keeps_type_and_text(ParseError("line 3"));
    keeps_type_and_text(LineError(5));
    CHECK(caught<LineError>(there_and_back(LineError(5))).line == 5);

    const auto sealed = there_and_back(Sealed("closed"));
    CHECK(std::string(caught<Sealed>(sealed).what()) == "closed");
    CHECK(cause_of(sealed) == nullptr);  // a final class has no room for one
}

TEST_CASE("remote_error: an unknown type comes back as RemoteError with its name") {
    const auto error = caught<mp::RemoteError>(there_and_back(Unknown("lost")));
    CHECK(error.type_name.ends_with("Unknown"));
    CHECK(std::string(error.what()) == "lost");
}

TEST_CASE("remote_error: what is no std::exception comes back as RemoteError") {
    const auto number = caught<mp::RemoteError>(there_and_back(42));
    CHECK(number.type_name == "int");
    CHECK(std::string(number.what()) == "an exception of type int: 42");
    const auto text = caught<mp::RemoteError>(there_and_back<const char*>("oh"));
    CHECK(text.type_name == "char const*");
    CHECK(std::string(text.what()).ends_with(": oh"));
    const auto string = caught<mp::RemoteError>(there_and_back(std::string("oh")));
    CHECK(std::string(string.what()).ends_with(": oh"));
    struct Plain {};
    CHECK(caught<mp::RemoteError>(there_and_back(Plain())).type_name.ends_with("Plain")
    );
}

TEST_CASE("remote_error: the place it was thrown at is nested in it") {
    const auto bytes =
        sent(std::make_exception_ptr(std::out_of_range("7")), "ForkProcess-1, pid 5");
    const auto cause = caught<mp::RemoteError>(cause_of(received(bytes)));
    CHECK(cause.type_name == "std::out_of_range");
    CHECK(std::string(cause.what()) == "in ForkProcess-1, pid 5: std::out_of_range: 7");
    const auto unnamed = cause_of(there_and_back(std::out_of_range("7")));
    CHECK(
        std::string(caught<mp::RemoteError>(unnamed).what()).starts_with("in process ")
    );
}

TEST_CASE("remote_error: the causes are nested behind it, as themselves") {
    const auto inner = std::make_exception_ptr(std::out_of_range("inner"));
    const auto middle = thrown([&] { throw_from<Unknown>(inner, "middle"); });
    const auto outer = thrown([&] { throw_from<ParseError>(middle, "outer"); });

    const auto back = received(sent(outer, "W"));
    CHECK(std::string(caught<ParseError>(back).what()) == "outer");
    const auto text = cause_of(back);
    const std::string what = caught<mp::RemoteError>(text).what();
    CHECK(what.starts_with("in W: "));
    CHECK(what.find("ParseError: outer\n  caused by ") != std::string::npos);
    CHECK(what.ends_with("\n  caused by std::out_of_range: inner"));
    const auto back_middle = cause_of(text);
    CHECK(caught<mp::RemoteError>(back_middle).type_name.ends_with("Unknown"));
    const auto back_inner = cause_of(back_middle);
    CHECK(std::string(caught<std::out_of_range>(back_inner).what()) == "inner");
    CHECK(cause_of(back_inner) == nullptr);
}

TEST_CASE("remote_error: an exception that has travelled can travel on") {
    const auto once = received(sent(std::make_exception_ptr(ParseError("x")), "A"));
    const auto twice = received(sent(once, "B"));
    CHECK(std::string(caught<ParseError>(twice).what()) == "x");
    const std::string what = caught<mp::RemoteError>(cause_of(twice)).what();
    CHECK(what.starts_with("in B: "));
    CHECK(what.find("in A: ") != std::string::npos);
}

TEST_CASE("remote_error: bytes that are cut or changed are an error, never a crash") {
    const auto inner = std::make_exception_ptr(LineError(4));
    const auto whole = sent(thrown([&] {
        throw_from<std::system_error>(
            inner, std::error_code(ENOENT, std::generic_category()), "outer"
        );
    }));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto part = std::span<const std::byte>(whole).first(size);
        ByteReader in(part);
        CHECK_THROWS_AS(decode_exception(in), mp::SerializationError);
    }
    for (std::size_t i = 0; i < whole.size(); ++i) {
        for (const int change : {1, 0x80, 0xff}) {
            auto changed = whole;
            changed[i] ^= static_cast<std::byte>(change);
            ByteReader in(changed);
            try {
                const auto error = decode_exception(in);
                CHECK(error != nullptr);
            } catch (const mp::SerializationError&) {
                // refused
            }
        }
    }
    const std::vector<std::byte> none(5);
    ByteReader in(none);
    CHECK_THROWS_AS(decode_exception(in), mp::SerializationError);
}

TEST_CASE("remote_error: no exception at all is refused") {
    ByteWriter out;
    CHECK_THROWS_AS(encode_exception(out, nullptr), std::invalid_argument);
    CHECK(out.empty());
}

TEST_CASE("describe_exception: one line, and one for each cause") {
    const auto inner = std::make_exception_ptr(std::out_of_range("inner"));
    const auto outer = thrown([&] { throw_from<std::logic_error>(inner, "outer"); });
    CHECK(
        describe_exception(outer) ==
        "std::logic_error: outer\n  caused by std::out_of_range: inner"
    );
    CHECK(
        describe_exception(std::make_exception_ptr(mp::SystemExit(2))) ==
        "mp::SystemExit: exit status 2"
    );
    CHECK(describe_exception(nullptr).empty());
}
