// SPDX-License-Identifier: BSL-1.0
// Structs that cannot be taken apart, and what the compiler has to say; see run.sh. One
// struct a line, as a compiler says it once for each.
#include "mp/call.hpp"
#include "mp/reduction.hpp"

#include <string>
#include <string_view>
#include <vector>

struct Point {
    double x = 0;
    double y = 0;
};

struct Derived : Point {
    int more = 0;
};

struct Derived2 : Point {
    int more = 0;
};

struct NamelessUnion {
    int which = 0;
    union {
        int number;
        float real;
    };
};

inline int global = 0;

struct WithReference {
    int& other = global;
};

struct WithPointer {
    std::string name;
    Point* point = nullptr;
};

struct WithView {
    std::string_view text;
};

struct Within {
    std::vector<Point> points;
    WithPointer inner;
};

// clang-format off
struct Behind {
    Point* point = nullptr;
};

class Archived {
public:
    Behind behind;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& behind;  // refused: a member of this struct means nothing in another process
    }
};

struct WithConstant {
    const int number = 1;
};

struct Hundreds {
#define TEN(x) int x##0, x##1, x##2, x##3, x##4, x##5, x##6, x##7, x##8, x##9;
    TEN(a)
    TEN(b)
    TEN(c)
    TEN(d)
    TEN(e)
    TEN(f)
    TEN(g)
    TEN(h)
    TEN(i)
    TEN(j)
    TEN(k)
};

struct BitFields {
    unsigned low : 3;
    unsigned high : 5;
};

template <class T>
int takes(T value);

int main() {  // one case a line, for run.sh
    using mp::call;
    using mp::dumps;
    call(takes<Point>, Point());
    dumps(Point());
    dumps(Archived());
    call(takes<Derived>, Derived());  // refused: a struct with a base class cannot be taken apart
    dumps(Derived2());  // refused: a struct with a base class cannot be taken apart
    call(takes<NamelessUnion>, NamelessUnion());  // refused: a struct with a union cannot be taken apart
    call(takes<WithReference>, WithReference());  // refused: a struct with a reference cannot travel
    call(takes<WithPointer>, WithPointer());  // refused: a pointer means nothing in another process
    call(takes<Within>, Within());  // refused: a pointer means nothing in another process
    dumps(Within());  // refused: Within
    call(takes<WithView>, WithView());  // refused: a view (std::string_view, std::span) does not own
    call(takes<Hundreds>, Hundreds());  // refused: a struct of more than 100 members cannot be taken
    mp::loads<WithConstant>({});  // refused: a constant cannot be read into
    mp::loads<BitFields>({});  // refused: bit-field
}
