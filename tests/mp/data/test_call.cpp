// SPDX-License-Identifier: BSL-1.0
#include "mp/call.hpp"
#include "mp/errors.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Never called: what matters is their types.
namespace refused {

int with_default(int a, int b = 2);
int writes_to(int& x);
int reads(const int* x);
std::string_view first_word(const std::string& text);
std::size_t count(std::string_view text);
long sum(std::span<const int> numbers);

}  // namespace refused

namespace {

using namespace mp::detail;

// ---- what is called

int add(int a, int b) {
    return a + b;
}

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

void nothing() {}

const std::string& same(const std::string& text) {
    return text;
}

int apply(int (*function)(int, int), int a, int b) {
    return function(a, b);
}

const char* text_of(int) {
    return "text";
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

struct Left {
    int left = 1;
};

struct Counter : Left {
    int start = 10;

    Counter() = default;

    explicit Counter(int from) : start(from) {}

    int plus(int n) const { return start + n; }

    int next() & { return ++start; }

    int last() && { return start; }

    static int zero() { return 0; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& start;
    }
};

struct Adder {
    int amount = 0;

    int operator()(int x) const { return x + amount; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& amount;
    }
};

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

struct Unreadable {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::domain_error("unreadable");
    }
};

struct NoDefault {
    explicit NoDefault(int from) : value(from) {}

    int value;
};

Unreadable unreadable() {
    return {};
}

int fail() {
    throw std::domain_error("failed");
}

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

template <class Fn, class... Args>
constexpr Refusal why = CallTraits<Fn, Args...>::refusal_with_result;

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

TEST_CASE("call: the result of a call tells its type before the call") {
    STATIC_REQUIRE(std::is_same_v<CallTraits<decltype(add), int, int>::Result, int>);
    STATIC_REQUIRE(std::is_same_v<
                   CallTraits<decltype(&same), const char*>::Result,
                   std::string>);
    STATIC_REQUIRE(std::is_void_v<CallTraits<decltype(nothing)>::Result>);
    STATIC_REQUIRE(std::is_void_v<CallTraits<decltype(add), int>::Result>);
    STATIC_REQUIRE(std::is_same_v<
                   CallTraits<decltype(&Counter::next), Counter>::Result,
                   int>);
}

TEST_CASE("call: what cannot travel is refused when compiling, and for its reason") {
    int kept = 0;
    auto captures = [kept](int x) {
        return x + kept;
    };
    auto changes = [](auto& x) {
        return ++x;
    };
    using Function = std::function<int(int)>;
    using Bound = decltype(std::bind(add, 1, std::placeholders::_1));

    STATIC_REQUIRE(why<decltype(captures), int> == Refusal::capturing_closure);
    STATIC_REQUIRE(why<Function, int> == Refusal::std_function);
    STATIC_REQUIRE(why<Bound, int> == Refusal::std_bind);
    STATIC_REQUIRE(
        why<std::reference_wrapper<Adder>, int> == Refusal::reference_wrapper
    );
    STATIC_REQUIRE(why<int> == Refusal::not_callable);
    STATIC_REQUIRE(why<Adder*, int> == Refusal::not_callable);
    STATIC_REQUIRE(why<decltype(add), int> == Refusal::too_few_arguments);
    STATIC_REQUIRE(
        why<decltype(refused::with_default), int> == Refusal::too_few_arguments
    );
    STATIC_REQUIRE(why<decltype(add), int, int, int> == Refusal::too_many_arguments);
    STATIC_REQUIRE(why<Adder, int, int> == Refusal::too_many_arguments);
    STATIC_REQUIRE(why<Adder> == Refusal::not_invocable);
    STATIC_REQUIRE(
        why<decltype(refused::writes_to), int&> == Refusal::lvalue_reference
    );
    STATIC_REQUIRE(why<decltype(changes), int&> == Refusal::not_invocable);
    STATIC_REQUIRE(why<decltype(add), int, std::string> == Refusal::not_convertible);
    STATIC_REQUIRE(why<decltype(refused::reads), int*> == Refusal::pointer);
    STATIC_REQUIRE(
        why<decltype(refused::reads), std::unique_ptr<int>> == Refusal::pointer
    );
    STATIC_REQUIRE(why<decltype(text_of), int> == Refusal::pointer);
    STATIC_REQUIRE(why<decltype(refused::count), const char*> == Refusal::view);
    STATIC_REQUIRE(why<decltype(refused::sum), std::vector<int>&> == Refusal::view);
    STATIC_REQUIRE(why<decltype(refused::first_word), std::string> == Refusal::view);
    STATIC_REQUIRE(why<decltype(&Counter::plus)> == Refusal::no_object);
    STATIC_REQUIRE(why<decltype(&Counter::plus), Counter*, int> == Refusal::no_object);
    STATIC_REQUIRE(why<decltype(&Counter::plus), int, int> == Refusal::no_object);
    STATIC_REQUIRE(
        why<decltype(&Counter::plus), Counter> == Refusal::too_few_arguments
    );
    auto takes_any = [](auto) {
    };
    STATIC_REQUIRE(why<decltype(takes_any), int*> == Refusal::pointer);
    STATIC_REQUIRE(
        why<decltype(takes_any), std::reference_wrapper<int>> ==
        Refusal::reference_wrapper
    );
    STATIC_REQUIRE(why<decltype(takes_any), std::string_view> == Refusal::view);
    STATIC_REQUIRE(
        why<decltype(takes_any), decltype(captures)> == Refusal::capturing_closure
    );
    STATIC_REQUIRE(why<decltype(takes_any), Function> == Refusal::std_function);

    STATIC_REQUIRE(
        why<decltype(takes_any), NoDefault> == Refusal::not_default_constructible
    );

    STATIC_REQUIRE(mp::Transportable<decltype(add), int, int>);
    STATIC_REQUIRE_FALSE(mp::Transportable<decltype(text_of), int>);
    STATIC_REQUIRE(mp::TransportableTarget<decltype(text_of), int>);
    CHECK(std::string(refusal_text(Refusal::pointer)).starts_with("a pointer means"));
    CHECK(std::string(refusal_text(Refusal::none)).empty());
    CHECK(captures(0) == 0);
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

namespace {

int calls = 0;
std::string heard;

int remember(const std::string& text, int times) {
    calls += times;
    heard = text;
    return calls;
}

}  // namespace

TEST_CASE("Call: a value that is made once, copied, and run as often as wanted") {
    calls = 0;
    std::string text = "before";
    const mp::Call call = mp::call(remember, text, 2);
    text = "after";
    const mp::Call copy = call;
    call();
    copy();
    CHECK(calls == 4);
    CHECK(heard == "before");
}

TEST_CASE("Call: drops a result that could not travel") {
    mp::call(text_of, 1)();
    mp::call(unreadable)();
    mp::call([] { return std::string_view("view"); })();
}

TEST_CASE("Call: is archived as any value") {
    calls = 0;
    const auto bytes = mp::dumps(mp::call(remember, "text", 1));
    const auto call = mp::loads<mp::Call>(bytes);
    call();
    CHECK(calls == 1);
    CHECK(heard == "text");
    const mp::Call same_call(call.bytes());
    same_call();
    CHECK(calls == 2);
}

TEST_CASE("Call: lets the function's exception through") {
    CHECK_THROWS_AS(mp::call(fail)(), std::domain_error);
}

TEST_CASE("Call: an empty one is false and cannot be called") {
    const mp::Call empty;
    CHECK_FALSE(empty);
    CHECK(empty.name().empty());
    CHECK_THROWS_AS(empty(), mp::StateError);
    CHECK(mp::call(nothing));
}

TEST_CASE("Call: names its function") {
    CHECK(mp::call(add, 1, 2).name().find("add(int, int)") != std::string::npos);
    CHECK(mp::call(Adder{1}, 2).name().find("Adder") != std::string::npos);
    CHECK(mp::call([] {}).name().find("lambda") != std::string::npos);
}
