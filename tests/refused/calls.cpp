// SPDX-License-Identifier: BSL-1.0
// Calls that must not compile, and what the compiler has to say; see run.sh.
#include "mp/call.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using mp::call;

int twice(int x);
double twice(double x);
int once(int x);
int with_default(int x, int y = 2);
int writes(int& x);
int reads(const int* x);
int counts(std::string_view text);
const char* text_of(int x);
std::span<int> part_of(std::vector<int> x);
template <class T>
T generic(T x);

struct Object {
    int value = 0;
    int get() const;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& value;
    }
};

// clang-format off
int main() {  // one case a line, for run.sh
    int x = 0;
    Object object;
    mp::detail::ByteWriter out;
    std::function<int(int)> function(once);
    auto generic_call = [](auto f) { return f; };
    call(once, 1);
    call(twice, 1);  // refused: an overloaded function or a function template was given
    call(generic, 1);  // refused: an overloaded function or a function template was given
    call([x] { return x; });  // refused: a lambda with captures cannot travel
    call(generic_call, [&x] { return x; });  // refused: a lambda with captures cannot
    call(function, 1);  // refused: a std::function hides what it holds
    call(std::bind(once, 1));  // refused: the result of std::bind cannot travel
    call(generic_call, std::ref(x));  // refused: std::ref refers to an object of this
    call(&Object::get, &object);  // refused: a member function needs its object as first
    call(with_default, 1);  // refused: a function pointer does not know the default
    call(once, 1, 2);  // refused: more arguments than the function has parameters
    call(writes, x);  // refused: a parameter is a non-const reference (T&)
    call(once, std::string("1"));  // refused: an argument cannot be converted to the
    call(reads, &x);  // refused: a pointer means nothing in another process
    call(counts, "text");  // refused: a view (std::string_view, std::span) does not own
    call(1, 2);  // refused: this object cannot be called
    call([](auto& y) { ++y; }, x);  // refused: cannot be called with these arguments
    encode_call(out, text_of, 1);  // refused: a pointer means nothing in another process
    encode_call(out, part_of, std::vector<int>());  // refused: a view (std::string_view,
}
