// SPDX-License-Identifier: BSL-1.0
// A program that runs itself again and has the second run make its calls: addresses
// differ there, code references must not. Built with and without PIE.
#include "mp/call.hpp"
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace mp::detail;

int square(int x) {
    return x * x;
}

struct Shape {
    int sides = 0;

    virtual ~Shape() = default;

    virtual int corners() const { return sides; }

    int doubled() const { return 2 * sides; }

    static int none() { return 0; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& sides;
    }
};

int fails(int x) {
    throw std::out_of_range("no " + std::to_string(x));
}

/// The second run: a call on stdin, its result or exception on stdout.
int child() {
    std::vector<std::byte> bytes(1 << 16);
    std::size_t size = 0;
    for (ssize_t n = 0;
         (n = ::read(STDIN_FILENO, bytes.data() + size, bytes.size() - size)) > 0;) {
        size += static_cast<std::size_t>(n);
    }
    const std::string mine = program_build_id();
    const auto* front = reinterpret_cast<const char*>(bytes.data());
    if (std::string(front, mine.size()) != mine) {
        return 2;
    }
    const auto rest =
        std::span<const std::byte>(bytes).first(size).subspan(mine.size());
    ByteReader in(rest);
    ByteWriter out;
    CallFrame frame{in, out};
    int status = 0;
    try {
        run_call(frame);
    } catch (...) {
        out.clear();
        encode_exception(out, std::current_exception());
        status = 1;
    }
    return ::write(STDOUT_FILENO, out.data().data(), out.size()) < 0 ? 3 : status;
}

struct Outcome {
    int status;
    std::vector<std::byte> bytes;
};

Outcome run_in_child(std::span<const std::byte> call) {
    int to[2];
    int from[2];
    if (::pipe(to) < 0 || ::pipe(from) < 0) {
        return {-1, {}};
    }
    const pid_t pid = ::fork();
    if (pid == 0) {
        // CHILD SIDE: async-signal-safe calls only
        ::dup2(to[0], STDIN_FILENO);
        ::dup2(from[1], STDOUT_FILENO);
        for (const int fd : {to[0], to[1], from[0], from[1]}) {
            ::close(fd);
        }
        ::execl(
            "/proc/self/exe", "call_across_exec", "child", static_cast<char*>(nullptr)
        );
        ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    const std::string id = program_build_id();
    Outcome outcome{-1, std::vector<std::byte>(1 << 16)};
    bool written = ::write(to[1], id.data(), id.size()) > 0;
    written = ::write(to[1], call.data(), call.size()) > 0 && written;
    ::close(to[1]);
    std::size_t size = 0;
    for (ssize_t n = 0;
         (n = ::read(from[0], outcome.bytes.data() + size, outcome.bytes.size() - size)
         ) > 0;) {
        size += static_cast<std::size_t>(n);
    }
    ::close(from[0]);
    outcome.bytes.resize(size);
    int status = 0;
    ::waitpid(pid, &status, 0);
    outcome.status = written && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
}

int failures = 0;

void expect(bool right, const char* what) {
    if (!right) {
        std::fprintf(stderr, "failed: %s\n", what);
        ++failures;
    }
}

template <class Result, class Fn, class... Args>
void expect_result(const char* what, const Result& result, Fn fn, Args... args) {
    ByteWriter call;
    encode_call(call, fn, args...);
    const Outcome outcome = run_in_child(call.data());
    if (outcome.status != 0) {
        return expect(false, what);
    }
    ByteReader in(outcome.bytes);
    expect(decode_result<Result>(in) == result, what);
}

}  // namespace

int main(int argc, char**) {
    if (argc > 1) {
        return child();
    }
    expect_result("function", 144, square, 12);
    expect_result(
        "lambda", std::string("ab"), [](const std::string& x) { return x + "b"; }, "a"
    );
    expect_result("static member", 0, &Shape::none);
    Shape shape;
    shape.sides = 3;
    expect_result("member", 6, &Shape::doubled, shape);
    expect_result("virtual member", 3, &Shape::corners, shape);
    expect_result("object without state", 5, std::plus<>(), 2, 3);
    expect_result("function of a library", 7, static_cast<int (*)(int)>(&std::abs), -7);
    expect_result(
        "function as argument",
        25,
        [](int (*function)(int), int x) { return function(x); },
        &square,
        5
    );

    ByteWriter call;
    encode_call(call, fails, 4);
    const Outcome outcome = run_in_child(call.data());
    expect(outcome.status == 1, "exit status of a call that throws");
    ByteReader in(outcome.bytes);
    try {
        std::rethrow_exception(decode_exception(in));
    } catch (const std::out_of_range& e) {
        expect(e.what() == std::string("no 4"), "text of the exception");
    }
    return failures;
}
