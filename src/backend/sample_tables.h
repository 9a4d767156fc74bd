/*
 * sample_tables.h
 *		What churn_sample_customers() knows of real telecom customers.
 *
 * Written by scripts/sample-tables from the Telco Customer Churn set; the
 * statistics only, no customer's row.  Change the script, not this file.
 */
#ifndef CHURN_SAMPLE_TABLES_H
#define CHURN_SAMPLE_TABLES_H

/* The terms of the logistic models. */
typedef enum SampleTerm
{
	TERM_ONE,
	TERM_ONE_YEAR,
	TERM_TWO_YEAR,
	TERM_FIBER,
	TERM_NO_INTERNET,
	TERM_TENURE,
	TERM_LOG_TENURE,
	TERM_FIRST_MONTH,
	TERM_AFTER_2_YEARS,
	TERM_AFTER_3_YEARS,
	TERM_AFTER_4_YEARS,
	TERM_AFTER_5_YEARS,
	TERM_ONE_YEAR_TENURE,
	TERM_TWO_YEAR_TENURE,
	TERM_FIBER_TENURE,
	TERM_FIBER_ONE_YEAR,
	TERM_FIBER_TWO_YEAR,
	TERM_SENIOR,
	TERM_PARTNER,
	TERM_DEPENDENTS,
	TERM_PHONE,
	TERM_MULTIPLE_LINES,
	TERM_ONLINE_SECURITY,
	TERM_ONLINE_BACKUP,
	TERM_DEVICE_PROTECTION,
	TERM_TECH_SUPPORT,
	TERM_STREAMING_TV,
	TERM_STREAMING_MOVIES,
	TERM_PAPERLESS,
	TERM_MAILED_CHECK,
	TERM_BANK_TRANSFER,
	TERM_CREDIT_CARD,
	SAMPLE_TERMS
} SampleTerm;

/* The logistic models; a payment method's is against electronic check. */
typedef enum SampleModel
{
	MODEL_SENIOR,
	MODEL_PARTNER,
	MODEL_DEPENDENTS,
	MODEL_PHONE,
	MODEL_MULTIPLE_LINES,
	MODEL_ONLINE_SECURITY,
	MODEL_ONLINE_BACKUP,
	MODEL_DEVICE_PROTECTION,
	MODEL_TECH_SUPPORT,
	MODEL_STREAMING_TV,
	MODEL_STREAMING_MOVIES,
	MODEL_PAPERLESS,
	MODEL_MAILED_CHECK,
	MODEL_BANK_TRANSFER,
	MODEL_CREDIT_CARD,
	MODEL_CHURN,
	SAMPLE_MODELS
} SampleModel;

#define SAMPLE_QUANTILES	32

/* Share of customers by contract (0..2) and internet (0..2). */
static const double sample_cells[9] = {
	0.173648, 0.302144, 0.074400, 0.080931, 0.076530, 0.051683, 0.089167,
	0.060912, 0.090586
};

/* Quantiles of the months of tenure, from 1 on, in these cells. */
static const unsigned char sample_tenure[9][SAMPLE_QUANTILES + 1] = {
	{
		1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 14, 16,
		18, 19, 22, 24, 27, 29, 33, 38, 42, 48, 55, 71
	},
	{
		1, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 15, 16, 18, 20, 22,
		24, 26, 29, 32, 34, 37, 41, 44, 48, 52, 57, 63, 72
	},
	{
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 10, 10,
		12, 13, 15, 17, 19, 22, 25, 30, 36, 61
	},
	{
		1, 9, 12, 15, 18, 21, 23, 25, 26, 28, 30, 32, 34, 36, 38, 39, 41, 42,
		44, 46, 48, 50, 51, 53, 55, 56, 58, 60, 63, 65, 68, 70, 71
	},
	{
		4, 19, 26, 28, 32, 35, 38, 41, 43, 45, 47, 49, 50, 51, 53, 54, 55, 56,
		58, 59, 60, 61, 62, 64, 65, 66, 66, 67, 68, 69, 70, 71, 72
	},
	{
		1, 2, 5, 7, 9, 10, 12, 13, 15, 17, 17, 19, 21, 22, 23, 25, 26, 28, 30,
		33, 35, 37, 38, 42, 44, 47, 49, 51, 53, 56, 61, 66, 72
	},
	{
		2, 14, 26, 35, 42, 46, 49, 52, 54, 56, 58, 60, 61, 63, 64, 65, 66, 67,
		68, 68, 69, 70, 70, 71, 71, 71, 72, 72, 72, 72, 72, 72, 72
	},
	{
		24, 39, 46, 50, 54, 57, 59, 61, 63, 64, 65, 66, 67, 68, 68, 69, 70,
		70, 71, 71, 71, 71, 72, 72, 72, 72, 72, 72, 72, 72, 72, 72, 72
	},
	{
		1, 8, 12, 15, 19, 24, 27, 31, 35, 38, 41, 43, 46, 47, 50, 52, 54, 56,
		58, 60, 61, 63, 64, 66, 68, 69, 70, 71, 71, 72, 72, 72, 72
	}
};

/* Share of customers in the month they came, by contract. */
static const double sample_new[3] = {0.000000, 0.000679, 0.005900};

static const double sample_male = 0.504756;

/* Coefficients in log-odds. */
static const float sample_models[SAMPLE_MODELS][SAMPLE_TERMS] = {
	{
		-2.0120f, -1.0450f, -2.1809f, 1.1683f, -0.9706f, 2.5558f, -0.9088f,
		-0.1215f, 0.0235f, -0.3564f, -0.1388f, -0.1996f, 0.6051f, 1.2816f,
		-0.3817f, -0.0842f, -0.2586f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0
	},
	{
		-1.0815f, 0.6061f, 1.1339f, 0.0139f, -0.0433f, 4.3743f, -0.7191f,
		-0.4880f, -0.4312f, -0.4904f, -0.2326f, -0.0068f, -0.8562f, -1.1607f,
		0.1783f, -0.0424f, -0.2861f, 0.1101f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0
	},
	{
		-2.6430f, 0.5276f, 1.4827f, -0.5847f, 0.2663f, -1.0292f, 1.2834f,
		0.5400f, 0.0225f, -0.0503f, 0.0142f, 0.2937f, -0.5803f, -1.5952f,
		0.0106f, 0.1824f, 0.3213f, -1.8537f, 2.4773f, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0
	},
	{
		0.8835f, 0.2617f, 0.2631f, 0, 0, -0.1369f, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, -0.5634f, 0.0807f, 0.0509f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
	},
	{
		-1.7881f, -0.1730f, 0.6512f, 0.9769f, -0.8908f, 2.8367f, 0.3375f,
		-0.4556f, -0.2722f, -0.2455f, -0.2187f, 0.3553f, 0.1299f, -0.7047f,
		0.6756f, -0.7117f, -0.7854f, 0.3437f, 0.1163f, -0.1316f, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0
	},
	{
		-1.6509f, 0.8066f, 1.3498f, -1.1692f, 0, 2.9875f, 0.1057f, -0.6314f,
		-0.4430f, -0.2981f, -0.3831f, -0.0743f, -0.4823f, -0.3726f, 0.4851f,
		-0.0131f, -0.1868f, -0.2874f, 0.0254f, 0.1985f, 0.4456f, -0.1586f, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0
	},
	{
		-0.9192f, 0.2221f, 0.9033f, -0.3456f, 0, 3.6780f, -1.2720f, -0.9715f,
		-0.0978f, -0.2283f, -0.2593f, 0.1875f, -0.4241f, -0.9381f, 0.5432f,
		0.2368f, -0.2273f, 0.0437f, -0.0115f, 0.1110f, 0.0998f, 0.0685f,
		0.0621f, 0, 0, 0, 0, 0, 0, 0, 0, 0
	},
	{
		-1.5415f, 1.0482f, 1.4989f, 0.2668f, 0, 2.4794f, 0.0486f, -0.7194f,
		-0.1747f, -0.0775f, -0.5727f, 0.0930f, -0.4882f, -0.0866f, 0.0642f,
		-0.0727f, -0.3172f, 0.0143f, 0.1310f, -0.0840f, -0.2129f, 0.1054f,
		-0.0947f, 0.0048f, 0, 0, 0, 0, 0, 0, 0, 0
	},
	{
		-2.0315f, 0.7538f, 2.2796f, -1.0110f, 0, -0.9439f, 1.7671f, -0.6042f,
		0.2201f, -0.1591f, 0.0008f, 0.2628f, 0.0004f, -0.5345f, 0.4928f,
		0.0219f, 0.0309f, -0.4432f, -0.0985f, 0.0463f, 0.3564f, -0.1248f,
		0.2495f, 0.1336f, 0.2610f, 0, 0, 0, 0, 0, 0, 0
	},
	{
		-1.5753f, 0.6389f, 0.2317f, 0.8680f, 0, 0.6515f, 0.5833f, -0.3832f,
		-0.1180f, 0.0169f, -0.0092f, -0.1899f, -0.4800f, 0.7764f, 0.0489f,
		0.2590f, -0.1263f, 0.0605f, 0.1074f, 0.0375f, -0.3541f, 0.3193f,
		-0.3741f, 0.0328f, 0.6460f, 0.3174f, 0, 0, 0, 0, 0, 0
	},
	{
		-1.9225f, 0.5486f, 0.6500f, 0.5945f, 0, 0.2033f, 0.7774f, -0.2648f,
		-0.0463f, -0.0764f, 0.1344f, 0.1040f, -0.5245f, -0.0780f, 0.0338f,
		0.2661f, -0.1278f, 0.1324f, 0.0707f, -0.1748f, -0.3234f, 0.2571f,
		-0.2214f, -0.0673f, 0.5520f, 0.2167f, 1.4022f, 0, 0, 0, 0, 0
	},
	{
		-0.0671f, -0.6847f, -0.9185f, 0.7848f, -0.8289f, 0.2420f, 0.6615f,
		0.2196f, -0.2253f, 0.0597f, -0.0441f, -0.0243f, 0.5341f, 0.3557f,
		-0.2959f, -0.0795f, 0.0971f, 0.3180f, -0.0025f, -0.1148f, -0.0944f,
		0.2037f, -0.3358f, 0.1028f, -0.1452f, -0.0599f, 0.4001f, 0.2766f, 0,
		0, 0, 0
	},
	{
		-0.1718f, 0.8503f, 1.9635f, -1.2373f, 1.3301f, -2.4081f, 0.8859f,
		0.1281f, 0.0565f, -0.0096f, 0.0353f, 0.0542f, -0.2040f, -0.0548f,
		0.6289f, -0.0175f, -0.8346f, -0.6189f, -0.2227f, 0.2590f, 0.3621f,
		-0.3474f, 0.4361f, 0.0047f, 0.0110f, 0.4955f, -0.5233f, -0.5331f,
		-0.4232f, 0, 0, 0
	},
	{
		-2.1312f, 0.7251f, 1.3559f, -0.5439f, 0.8165f, 0.1556f, 2.0859f,
		-0.1783f, -0.0799f, -0.1026f, -0.0749f, 0.2483f, -0.4427f, -0.0477f,
		0.2237f, 0.1103f, -0.3700f, -0.1708f, 0.0019f, 0.1121f, 0.3024f,
		-0.0967f, 0.2201f, 0.0476f, 0.0483f, 0.2984f, -0.3241f, -0.2858f,
		-0.1996f, 0, 0, 0
	},
	{
		-1.6230f, 0.8314f, 1.9232f, -0.8235f, 0.8317f, -0.0072f, 1.2535f,
		-0.6905f, 0.0307f, -0.1846f, -0.1328f, 0.2651f, -0.1048f, -0.1767f,
		0.9975f, -0.2480f, -0.8911f, -0.1495f, -0.1586f, 0.1899f, 0.2669f,
		-0.1137f, 0.2898f, 0.0615f, 0.2005f, 0.3177f, -0.3722f, -0.2893f,
		-0.1357f, 0, 0, 0
	},
	{
		0.3878f, -1.2061f, -3.0175f, 0.9779f, -0.7979f, -2.7862f, -0.9962f,
		0.6758f, 0.1734f, 0.5058f, 0.1169f, -0.0656f, 1.2679f, 1.9824f,
		-0.0200f, -0.2664f, 0.1552f, 0.2324f, 0.0489f, -0.1291f, -0.5627f,
		0.3752f, -0.3155f, -0.1031f, 0.0265f, -0.2824f, 0.3088f, 0.3260f,
		0.3446f, -0.3781f, -0.2608f, -0.3322f
	}
};

/* Monthly prices, and the spread around them by internet. */
static const double sample_price_dsl = 25;
static const double sample_price_fiber = 50;
static const double sample_price_phone = 20;
static const double sample_price_multiple_lines = 5;
static const double sample_price_addons[6] = {5, 5, 5, 5, 10, 10};
static const double sample_price_spread[3] = {1.085, 1.149, 0.554};

/*
 * How far total charges stray from months * monthly charges, in months per
 * square root of a month.
 */
static const double sample_total_spread = 0.2017;

#endif							/* CHURN_SAMPLE_TABLES_H */
