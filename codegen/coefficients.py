"""Coefficients of the polynomials, lowest power first; written by benchmarks/fit_polynomials.py, which says how."""
from __future__ import annotations

POLYNOMIALS: dict[str, tuple[str, ...]] = {
    # (exp(r) - 1 - r) / r**2: relative error 3.2e-9
    "exp_f32": ("0x1.fffffcp-2f", "0x1.55548cp-3f", "0x1.555858p-5f", "0x1.123dc6p-7f",
        "0x1.6ac464p-10f"),
    # (exp(r) - 1 - r) / r**2: relative error 3.8e-18
    "exp_f64": ("0x1.000000000000ap-1", "0x1.5555555555503p-3", "0x1.5555555550605p-5", "0x1.1111111124dd1p-7",
        "0x1.6c16c184b61c8p-10", "0x1.a01a013dac177p-13", "0x1.a0199886ca082p-16", "0x1.71def1764362ep-19",
        "0x1.28aee5a5e4c9fp-22", "0x1.addf452df1bdcp-26"),
    # (2**r - 1) / r: relative error 1.2e-8
    "exp2_f32": ("0x1.62e43p-1f", "0x1.ebfb94p-3f", "0x1.c6af9ep-5f", "0x1.3b6818p-7f",
        "0x1.5ef48ap-10f", "0x1.179158p-13f"),
    # (2**r - 1) / r: relative error 6.3e-18
    "exp2_f64": ("0x1.62e42fefa39efp-1", "0x1.ebfbdff82c5b3p-3", "0x1.c6b08d704a26fp-5", "0x1.3b2ab6fb9dac1p-7",
        "0x1.5d87fe7845975p-10", "0x1.430913167aeb3p-13", "0x1.ffcbfe65639ep-17", "0x1.62bfb4ad937a4p-20",
        "0x1.b520865cfec8ep-24", "0x1.e63b6c67b2ee9p-28", "0x1.f0e01b301fcb4p-32"),
    # (log(1 + f) - f + f*f/2) / f**3: relative error 5.9e-9
    "log_f32": ("0x1.555554p-2f", "-0x1.000228p-2f", "0x1.99a034p-3f", "-0x1.547232p-3f",
        "0x1.22d674p-3f", "-0x1.0d81eap-3f", "0x1.0571bep-3f", "-0x1.38fd5p-4f"),
    # (2 atanh(s) / s - 2) / z, z = s*s: relative error 8.1e-10
    "atanh_f32": ("0x1.55557ap-1f", "0x1.995ed4p-2f", "0x1.31e0d4p-2f"),
    # (2 atanh(s) / s - 2) / z, z = s*s: relative error 1.2e-18
    "atanh_f64": ("0x1.5555555555592p-1", "0x1.999999997feffp-2", "0x1.24924941e38ap-2", "0x1.c71c52121fc7ep-3",
        "0x1.74663d7053543p-3", "0x1.39a1da48bd841p-3", "0x1.2f0457cb2de8p-3"),
    # (atanh(s) - s) / s**3 in s*s: relative error 2.9e-9
    "arctanh_f32": ("0x1.5555b6p-2f", "0x1.992908p-3f", "0x1.37105ap-3f"),
    # (atanh(s) - s) / s**3 in s*s: relative error 1.4e-19
    "arctanh_f64": ("0x1.555555555554fp-2", "0x1.999999999c1e9p-3", "0x1.24924921da83dp-3", "0x1.c71c749a023dcp-4",
        "0x1.745c4837b71cep-4", "0x1.3b361c55b6a25p-4", "0x1.0dc552f30c09bp-4", "0x1.1bad36e9f62dfp-4"),
    # (sin(r) - r) / r**3 in r*r: relative error 4.0e-9
    "sin_f32": ("-0x1.555546p-3f", "0x1.110778p-7f", "-0x1.995408p-13f"),
    # (sin(r) - r) / r**3 in r*r: relative error 3.7e-18
    "sin_f64": ("-0x1.5555555555548p-3", "0x1.111111110f73p-7", "-0x1.a01a019be921p-13", "0x1.71de35552b794p-19",
        "-0x1.ae5e4b84f94dep-26", "0x1.5d8b5643d0f97p-33"),
    # (cos(r) - 1 + r*r/2) / r**4 in r*r: relative error 1.2e-10
    "cos_f32": ("0x1.55554ap-5f", "-0x1.6c0c2ap-10f", "0x1.99e924p-16f"),
    # (cos(r) - 1 + r*r/2) / r**4 in r*r: relative error 5.7e-20
    "cos_f64": ("0x1.555555555554bp-5", "-0x1.6c16c16c15015p-10", "0x1.a01a019c8f251p-16", "-0x1.27e4f7f190f58p-22",
        "0x1.1ee9dbce99333p-29", "-0x1.8fa6843a919fdp-37"),
    # (sin(r) - r) / r**3 in r*r, to pi/2: relative error 6.5e-9
    "halfsin_f32": ("-0x1.55554cp-3f", "0x1.110ed6p-7f", "-0x1.9f6fbap-13f", "0x1.5db2dep-19f"),
    # (sin(r) - r) / r**3 in r*r, to pi/2: relative error 3.2e-19
    "halfsin_f64": ("-0x1.5555555555555p-3", "0x1.11111111110c7p-7", "-0x1.a01a01a014bfbp-13", "0x1.71de3a529421p-19",
        "-0x1.ae6454cdce966p-26", "0x1.6123cb2db892ap-33", "-0x1.ae42ff57c4d9p-41", "0x1.8823c1afb96fbp-49"),
    # (tan(r) - r) / r**3 in r*r: relative error 1.5e-9
    "tan_f32": ("0x1.555562p-2f", "0x1.110d1ap-3f", "0x1.baf0bep-5f", "0x1.5bd524p-6f",
        "0x1.678cfp-7f", "-0x1.663972p-14f", "0x1.247f02p-8f"),
    # (tan(r) - r) / r**3 in r*r: relative error 1.0e-18
    "tan_f64": ("0x1.555555555555fp-2", "0x1.111111111049ap-3", "0x1.ba1ba1bacfcc5p-5", "0x1.664f4859966d1p-6",
        "0x1.226e3af4ceeefp-7", "0x1.d6d2d4d06f638p-9", "0x1.7db29b9634617p-10", "0x1.34b19c7cdd9d3p-11",
        "0x1.ffc479374316bp-13", "0x1.5b77edc8a0d8fp-14", "0x1.1f716f99bbee5p-14", "-0x1.c9fe0f6a9bf41p-16",
        "0x1.a3b368e49b252p-15", "-0x1.a2e80d2b470d5p-16", "0x1.4e036ab242eebp-17"),
    # (atan(t) - t) / t**3 in t*t: relative error 2.1e-8
    "atan_f32": ("-0x1.555454p-2f", "0x1.9924d6p-3f", "-0x1.1c37ccp-3f", "0x1.49e568p-4f"),
    # (atan(t) - t) / t**3 in t*t: relative error 1.3e-18
    "atan_f64": ("-0x1.555555555553dp-2", "0x1.9999999995869p-3", "-0x1.24924922ad477p-3", "0x1.c71c70e5ff471p-4",
        "-0x1.745cf8d9fc062p-4", "0x1.3b1118ea99818p-4", "-0x1.10ebb6073f66cp-4", "0x1.df0f2d3a86516p-5",
        "-0x1.9cd24eee3ffep-5", "0x1.37d4e648dbe19p-5", "-0x1.2569a45d23f37p-6"),
    # (asin(x) - x) / x**3 in x*x: relative error 4.8e-9
    "asin_f32": ("0x1.5555c8p-3f", "0x1.330206p-4f", "0x1.747b8p-5f", "0x1.8c4038p-6f",
        "0x1.595b14p-5f"),
    # (asin(x) - x) / x**3 in x*x: relative error 1.5e-17
    "asin_f64": ("0x1.555555555539p-3", "0x1.333333336e857p-4", "0x1.6db6db4275defp-5", "0x1.f1c72c3ab579p-6",
        "0x1.6e89f411d4974p-6", "0x1.1c6be49741bd4p-6", "0x1.c6fd842300b08p-7", "0x1.8ec4a4038f5d2p-7",
        "0x1.abc079b35734ep-8", "0x1.3fff362e94003p-6", "-0x1.09e43dfa0f3c7p-6", "0x1.0573735ebdb8cp-5"),
    # erf(x) / x - 1 in x*x: relative error 1.4e-9
    "erf_f32": ("0x1.06eba8p-3f", "-0x1.81273ep-2f", "0x1.ce2ce6p-4f", "-0x1.b7f71ap-6f",
        "0x1.53f224p-8f", "-0x1.a3515ep-11f", "0x1.4771fep-14f"),
    # erf(x) / x - 1 in x*x: relative error 1.1e-17
    "erf_f64": ("0x1.06eba8214db69p-3", "-0x1.812746b037a31p-2", "0x1.ce2f21a046ba4p-4", "-0x1.b82ce313e1a62p-6",
        "0x1.565bcd4b20e6cp-8", "-0x1.c02dc0bd4770fp-11", "0x1.f9a4deaae6e9fp-14", "-0x1.f4fa1efdaf147p-17",
        "0x1.bc5d329210028p-20", "-0x1.7a453d3fd2ee3p-23", "0x1.c3996c45f553ep-26", "-0x1.142af736ec91bp-27",
        "0x1.5012b424939abp-29", "-0x1.9153edd2a55ebp-32"),
    # log2(erfc(x)), 1 <= x <= 4: relative error 3.5e-11
    "erftail_f32": ("0x1.1d1912p-12f", "-0x1.a13014p0f", "-0x1.d3bb4ap-1f", "-0x1.40590ap-3f",
        "0x1.29f2bep-5f", "-0x1.8d986ap-8f", "0x1.4de7a6p-11f", "-0x1.068cb2p-15f"),
    # (1 + 2x) exp(x*x) erfc(x) in (x - 3.75) / (x + 3.75), 0.44 <= x <= 27: relative error 9.7e-17
    "erfc_f64": ("0x1.3ccda0b5d5dc2p0", "-0x1.1f367683f8963p-3", "0x1.d5f294817b3acp-9", "0x1.510169d0903a3p-4",
        "-0x1.bda9309a8a1c4p-4", "0x1.7a14188bf6f9p-4", "-0x1.e0d0fa51f3f45p-5", "0x1.d0b002f19dc2cp-6",
        "-0x1.3f6044991eb02p-7", "0x1.cc3a8b99d3d86p-10", "0x1.3407215e2ba51p-12", "-0x1.3050e79a8e3bbp-12",
        "0x1.ae83e016780eep-15", "0x1.7dbebf3683f87p-16", "-0x1.49c5cf9f09357p-17", "-0x1.41a691bbb089ep-19",
        "-0x1.f23185dfe147cp-19", "0x1.e912f7290482ap-19", "0x1.a1670081d32d9p-17", "-0x1.ad1b461828eeap-18",
        "-0x1.4e207aac58ac8p-16", "0x1.dca1928b5f77bp-18", "0x1.53ca729c1f94cp-16", "-0x1.30fab826eabd3p-18",
        "-0x1.927be94548ebfp-17", "0x1.56d8e67ed9dcep-20", "0x1.a65bef431e7f6p-19"),
    # the same for 0 <= x <= 12 and float32: relative error 1.8e-9
    "erfcshort_f64": ("0x1.3ccda0b3605b5p0", "-0x1.1f3671f94705ep-3", "0x1.d5f52a61d2607p-9", "0x1.50fff116c2ae3p-4",
        "-0x1.bdab99408a58p-4", "0x1.7a244f00f3b7bp-4", "-0x1.e0987d2a95086p-5", "0x1.cfb5aeffcf121p-6",
        "-0x1.43a9a196b05d3p-7", "0x1.d905f4b314a15p-10", "0x1.12afb210ebc82p-11", "-0x1.8daeb3d7eae01p-13"),
    # (atanh(s) / s - 1 - z / 3) 2 / log(2) / z**2, z = s*s, for powers of float64: relative error 7.4e-23
    "powatanh_f64": ("0x1.2776c50ef9bfcp-1", "0x1.a61762a7aedddp-2", "0x1.484b13d6acfe9p-2", "0x1.0c9a853ae9269p-2",
        "0x1.c68ee96671305p-3", "0x1.8a09b6b466733p-3", "0x1.58fce47bd1c3ap-3", "0x1.61f009489e396p-3"),
    # 2 atanh(s) / s / log(2) in s*s, for powers of float32: relative error 4.2e-12
    "powlog_f64": ("0x1.71547652bee66p1", "0x1.ec709d12521e3p-1", "0x1.2777803e4dfbfp-1", "0x1.a58d62efaab5bp-2",
        "0x1.5ceaeebd8bd46p-2"),
    # (2**r - 1) / r, for float32: relative error 6.8e-9
    "powexp_f64": ("0x1.62e430af19f9p-1", "0x1.ebfbce151929bp-3", "0x1.c6aed99a6e1d4p-5", "0x1.3b30a595d2755p-7",
        "0x1.5f4f7601660ebp-10", "0x1.433c5a4eff71p-13"),
}
