// SPDX-License-Identifier: BSL-1.0
// Calls as another process runs them: from the bytes that encode_call() made.
#include "mp/call.hpp"
#include "mp/data/call_targets.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"

#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using namespace mp::detail;
using test::targets::add;
using test::targets::Adder;
using test::targets::Counter;
using test::targets::fail;
using test::targets::nothing;
using test::targets::same;
using test::targets::Unreadable;
using test::targets::unreadable;

namespace {

// ---- what is called

int add_noexcept(int a, int b) noexcept {
    return a + b;
}

std::string greet(const std::string& name) {
    return "hello " + name;
}

std::size_t length(std::string&& text) {
    return text.size();
}

int take(std::unique_ptr<int> number) {
    return *number;
}

std::unique_ptr<int> give(int number) {
    return std::make_unique<int>(number);
}

double half(double x) {
    return x / 2;
}

int apply(int (*function)(int, int), int a, int b) {
    return function(a, b);
}

template <class T>
T doubled(T x) {
    return x + x;
}

struct Shape {
    virtual ~Shape() = default;
    virtual std::string name() const { return "shape"; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& corners;
    }

    int corners = 0;
};

struct Square : Shape {
    Square() { corners = 4; }

    std::string name() const override { return "square"; }
};

std::string name_of(const Shape& shape) {
    return shape.name() + " " + std::to_string(shape.corners);
}

struct Overloads {
    int operator()(int x) const { return x; }

    std::string operator()(const std::string& x) const { return x + "!"; }
};

struct Greedy {  // reads one number more than it wrote
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        int zero = 0;
        archive& zero;
        if (reading) {
            archive& zero;
        }
    }

    bool reading = true;
};

// ---- as another process would run it

/// What came out, how far it got, and what it threw.
struct Outcome {
    ByteWriter out;
    CallPhase phase = CallPhase::decode;
    std::string error;
};

Outcome run(std::span<const std::byte> bytes) {
    Outcome outcome;
    ByteReader in(bytes);
    CallFrame frame{in, outcome.out};
    try {
        run_call(frame);
    } catch (const std::exception& e) {
        outcome.error = e.what();
    }
    outcome.phase = frame.phase;
    return outcome;
}

template <class Fn, class... Args>
auto there(const Fn& fn, Args&&... args) {
    static_assert(mp::Transportable<Fn, Args...>);
    using Result = typename CallTraits<Fn, Args...>::Result;
    ByteWriter bytes;
    encode_call(bytes, fn, std::forward<Args>(args)...);
    const Outcome outcome = run(bytes.data());
    CHECK(outcome.error.empty());
    CHECK(outcome.phase == CallPhase::done);
    if constexpr (!std::is_void_v<Result>) {
        ByteReader result(outcome.out.data());
        return decode_result<Result>(result);
    } else {
        CHECK(outcome.out.empty());
    }
}

}  // namespace

TEST_CASE("call: functions and static members are called with their arguments") {
    CHECK(there(add, 1, 2) == 3);
    CHECK(there(&add_noexcept, 1, 2) == 3);
    CHECK(there(&Counter::zero) == 0);
    CHECK(there(doubled<int>, 21) == 42);
    CHECK(there(same, "same") == "same");
    there(nothing);
}

TEST_CASE("call: arguments become what the parameters are") {
    CHECK(there(greet, "world") == "hello world");
    CHECK(there(half, 3) == 1.5);
    CHECK(there(half, 3.9F) == test::Approx(1.95));
    CHECK(there(length, "four") == 4);
    const std::string kept = "kept";
    CHECK(there(length, kept) == 4);
    const char array[] = "array";
    CHECK(there(greet, array) == "hello array");
}

TEST_CASE("call: an argument of a derived class keeps its class") {
    CHECK(there(name_of, Square()) == "square 4");
    CHECK(there(name_of, Shape()) == "shape 0");
}

TEST_CASE("call: move-only arguments and results travel, and the caller's stays") {
    auto number = std::make_unique<int>(7);
    CHECK(there(take, number) == 7);
    CHECK(there(take, std::as_const(number)) == 7);
    CHECK(there(take, std::move(number)) == 7);
    CHECK(number != nullptr);  // NOLINT(bugprone-use-after-move): that is the claim
    CHECK(*there(give, 8) == 8);
}

TEST_CASE("call: lambdas without captures are made anew") {
    CHECK(there([](int x) { return x * x; }, 12) == 144);
    CHECK(there([] { return std::string("text"); }) == "text");
    CHECK(there([](auto a, auto b) { return a + b; }, "a", std::string("b")) == "ab");
    CHECK(there([](int a, int b = 2) { return a * b; }, 4) == 8);
    CHECK(there([](int x) mutable { return ++x; }, 1) == 2);
}

TEST_CASE("call: objects with operator() travel as values") {
    CHECK(there(Adder{5}, 1) == 6);
    CHECK(there(std::plus<>(), 1, 2) == 3);
    CHECK(there(std::plus<int>(), 1, 2) == 3);
    CHECK(there(Overloads(), 3) == 3);
    CHECK(there(Overloads(), "text") == "text!");
}

TEST_CASE("call: member functions are called on a copy of the object") {
    CHECK(there(&Counter::plus, Counter(5), 2) == 7);
    CHECK(there(&Counter::next, Counter(5)) == 6);
    CHECK(there(&Counter::last, Counter(5)) == 5);
    CHECK(there(&Counter::plus, std::make_unique<Counter>(5), 2) == 7);
    Counter mine(5);
    CHECK(there(&Counter::next, mine) == 6);
    CHECK(mine.start == 5);
}

TEST_CASE("call: a virtual member function is that of the object's class") {
    CHECK(there(&Shape::name, Shape()) == "shape");
    CHECK(there(&Shape::name, Square()) == "square");
}

TEST_CASE("call: functions are arguments too") {
    CHECK(there(apply, add, 1, 2) == 3);
    CHECK(
        there(
            apply, [](int a, int b) { return a - b; }, 1, 2
        ) == -1
    );
    CHECK(there([](auto f, int x) { return f(x); }, [](int x) { return -x; }, 1) == -1);
    CHECK(
        there([](auto f) { return std::invoke(f, Counter(1), 1); }, &Counter::plus) == 2
    );
    CHECK(there([] { return &add; })(1, 2) == 3);
}

TEST_CASE("call: a member of a second base arrives with its offset") {
    struct Both : Counter, Shape {};
    // The conversion makes `this` point behind the Counter.
    std::string (Both::*name)() const = &Shape::name;
    ByteWriter out;
    write_value(out, name);
    ByteReader in(out.data());
    const auto back = read_value<decltype(name)>(in);
    CHECK(back == name);
    CHECK((Both().*back)() == "shape");
}

TEST_CASE("call: two pointers to one object arrive as two pointers to one object") {
    const auto one = std::make_shared<Counter>(1);
    const auto other = std::make_shared<Counter>(1);
    const auto same_object = [](const std::shared_ptr<Counter>& a,
                                const std::shared_ptr<Counter>& b) {
        return a == b && a->start == 1;
    };
    CHECK(there(same_object, one, one));
    CHECK_FALSE(there(same_object, one, other));
}

TEST_CASE("call: the phase tells where an exception came from") {
    ByteWriter bytes;
    SECTION("the function") {
        encode_call(bytes, fail);
        const Outcome outcome = run(bytes.data());
        CHECK(outcome.error == "failed");
        CHECK(outcome.phase == CallPhase::run);
    }
    SECTION("its result") {
        encode_call(bytes, unreadable);
        const Outcome outcome = run(bytes.data());
        CHECK(outcome.error == "unreadable");
        CHECK(outcome.phase == CallPhase::encode);
    }
    SECTION("its arguments") {
        Greedy greedy;
        greedy.reading = false;
        encode_call(
            bytes, [](const Greedy&) {}, greedy
        );
        const Outcome outcome = run(bytes.data());
        CHECK_FALSE(outcome.error.empty());
        CHECK(outcome.phase == CallPhase::decode);
    }
    SECTION("an argument that cannot be written throws at the caller") {
        CHECK_THROWS_AS(
            encode_call(
                bytes, [](const Unreadable&) {}, Unreadable()
            ),
            std::domain_error
        );
    }
}

TEST_CASE("call: bytes beyond the arguments are an error, and so are missing ones") {
    ByteWriter bytes;
    encode_call(bytes, greet, "world");
    const auto whole = bytes.data();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const Outcome outcome = run(whole.first(size));
        CHECK_FALSE(outcome.error.empty());
        CHECK(outcome.phase == CallPhase::decode);
        CHECK(outcome.out.empty());
    }
    bytes.put("x", 1);
    const Outcome outcome = run(bytes.data());
    CHECK(outcome.error.find("1 bytes before") != std::string::npos);
    CHECK(outcome.phase == CallPhase::decode);
}
